"""Connects to the next of two addresses each time: mqtt_turn.py LIB PORT PORT"""

import sys

from mqtt_parts import connected, link_to, problem, run


async def main():
    link = link_to(sys.argv[2], others=[("127.0.0.1", int(sys.argv[3]))])
    for _ in range(4):
        print(await problem(connected(link)) or "connected")
        link.turn()
    await link.close()


run(main())
