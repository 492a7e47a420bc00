"""Connects again whenever the link is lost: mqtt_again.py LIB PORT TIMES

Says "up" and "lost", and ends after TIMES connections.
"""

import asyncio
import sys

from mqtt_parts import (
    PRESENCE,
    TOPIC,
    LinkLost,
    connected,
    link_to,
    open_files,
    run,
    waiting_for_sockets,
)

PORT, TIMES = int(sys.argv[2]), int(sys.argv[3])


async def main():
    link = link_to(PORT, keepalive=60)
    files, times = open_files(), 0
    while True:
        try:
            await connected(link)
            await link.subscribe([TOPIC])
            await link.publish(PRESENCE, b"online", True)
            times += 1
            print("up")
            if times == TIMES:
                break
            await link.receive()
        except LinkLost as error:
            print("lost", error)
            await asyncio.sleep_ms(100)
            assert open_files() == files
    await link.close()
    await asyncio.sleep_ms(0)
    assert open_files() == files
    assert waiting_for_sockets() == 0


run(main(), 60)
