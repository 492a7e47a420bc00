"""A message that does not fit the heap: mqtt_memory.py LIB PORT"""

import gc
import sys

from mqtt_parts import TOPIC, connected, link_to, problem, run

PORT = int(sys.argv[2])


def fill():
    """Takes the heap but for some kilobytes in pieces."""
    gc.collect()
    taken = []
    try:
        while True:
            taken.append(bytearray(1024))
    except MemoryError:
        pass
    for index in range(0, len(taken), max(1, len(taken) // 4)):
        taken[index] = None
    gc.collect()
    return taken


async def main():
    link = await connected(link_to(PORT))
    await link.subscribe([TOPIC])
    taken = fill()
    print("free", gc.mem_free())
    await link.publish(TOPIC, b"long", False)
    print(await problem(link.receive()))
    taken.clear()
    await connected(link)
    await link.subscribe([TOPIC])
    await link.publish(TOPIC, b"again", False)
    topic, payload = await link.receive()
    assert (topic, len(payload)) == (TOPIC, 8000), len(payload)
    await link.close()


run(main())
