"""Sessions over TLS: mqtt_tls.py LIB PORT HOST CA-FILE"""

import asyncio
import sys

from mqtt_parts import (
    TOPIC,
    connected,
    heap,
    link_to,
    open_files,
    problem,
    run,
    waiting_for_sockets,
)

from modelwave_agent.board.tls_context import tls_context

PORT, HOST, CA = int(sys.argv[2]), sys.argv[3], sys.argv[4]
TIMES = 20
LONG = b"over TLS" * 1000


async def session(link):
    await connected(link)
    await link.subscribe([TOPIC])
    await link.publish(TOPIC, LONG, False)
    assert await link.receive() == (TOPIC, LONG)
    await link.close()
    await asyncio.sleep_ms(0)


async def main():
    with open(CA, "rb") as file:
        link = link_to(PORT, host=HOST, tls=tls_context(file.read()))
    files = open_files()
    for _ in range(2):
        print(await problem(session(link)) or "well")
    before = heap()
    for _ in range(TIMES):
        await problem(session(link))
    await asyncio.sleep_ms(0)
    assert open_files() == files
    assert waiting_for_sockets() == 0
    grown = heap() - before
    assert abs(grown) <= 512, grown


run(main())
