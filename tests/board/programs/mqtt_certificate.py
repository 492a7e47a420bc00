"""A session with a certificate of the board's own:
mqtt_certificate.py LIB PORT CA CERTIFICATE KEY"""

import sys

from mqtt_parts import TOPIC, connected, link_to, problem, run

from modelwave_agent.board.tls_context import tls_context

PORT = int(sys.argv[2])


def contents(path):
    with open(path, "rb") as file:
        return file.read()


async def session(link):
    await connected(link)
    await link.subscribe([TOPIC])
    await link.publish(TOPIC, b"by certificate", False)
    assert await link.receive() == (TOPIC, b"by certificate")
    await link.close()


async def main():
    ca, own, key = (contents(path) for path in sys.argv[3:6])
    for context in (tls_context(ca), tls_context(ca, own, key)):
        print(await problem(session(link_to(PORT, host="localhost", tls=context))) or "well")


run(main())
