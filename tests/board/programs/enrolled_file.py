"""What a board was enrolled with: enrolled_file.py LIB FILE ROOT [connect]"""

import sys

from mqtt_parts import run

from modelwave_agent.board.enrolled import Enrolled

FILE, ROOT = sys.argv[2], sys.argv[3]


async def session(enrolled):
    link = enrolled.link()
    topic = "modelwave/1/demo/reported/" + enrolled.device
    if enrolled.others:
        link.turn()
    await link.connect("modelwave/1/demo/presence/" + enrolled.device, b"offline")
    await link.subscribe([topic])
    await link.publish(topic, b"hello", False)
    print("heard", (await link.receive())[1].decode())
    await link.close()


async def main():
    try:
        enrolled = Enrolled(FILE, ROOT)
    except ValueError as error:
        print(error)
        return
    print(enrolled.device, enrolled.target, enrolled.models, enrolled.host, enrolled.port)
    if sys.argv[4:] == ["connect"]:
        await session(enrolled)


run(main())
