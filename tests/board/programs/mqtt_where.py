"""What LinkLost says of places without a broker: mqtt_where.py LIB HOST:PORT …"""

import asyncio
import sys

from mqtt_parts import connected, link_to, open_files, problem, run


async def main():
    before = open_files()
    for place in sys.argv[2:]:
        host, port = place.split(":")
        print(await problem(connected(link_to(port, host=host))))
        await asyncio.sleep_ms(0)
        assert open_files() == before


run(main())
