"""Subscribes twice to a topic that it can do without: mqtt_allowed.py LIB PORT

Prints whether the broker has granted it, each time.
"""

import sys

from mqtt_parts import TOPIC, connected, link_to, run


async def main():
    link = await connected(link_to(sys.argv[2]))
    for _ in range(2):
        print(await link.subscribe_if_allowed([TOPIC]))
    await link.close()


run(main())
