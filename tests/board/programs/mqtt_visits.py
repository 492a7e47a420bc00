"""Visits a server again and again: mqtt_visits.py LIB PORT COUNT KEEPALIVE

For each visit a line: ([(topic, length, first bytes) of each message], what LinkLost said).
Nothing may be left open by any of them.
"""

import asyncio
import sys

from mqtt_parts import PRESENCE, TOPIC, LinkLost, link_to, open_files, run, waiting_for_sockets

PORT, COUNT, KEEPALIVE = [int(text) for text in sys.argv[2:]]


async def visit(link, found):
    try:
        await link.connect(PRESENCE, b"offline")
        await link.subscribe([TOPIC])
        await link.publish(TOPIC, b"here", False)
        while True:
            topic, payload = await link.receive()
            found.append((topic, len(payload), payload[:5]))
    except LinkLost as error:
        return str(error)


async def main():
    link = link_to(PORT, keepalive=KEEPALIVE)
    before = open_files()
    for _ in range(COUNT):
        found = []
        error = await visit(link, found)
        print(repr((found, error)))
        await asyncio.sleep_ms(0)  # cancelled tasks end
        assert open_files() == before
        assert waiting_for_sockets() == 0
        assert all(task.done() for task in link._tasks)


run(main())
