"""Links that go silent without an end: mqtt_holes.py LIB PHASE:KEEPALIVE:PORT …

For each, the eighths of its keep-alive from the last byte that can have come until LinkLost.
Each has a keep-alive of its own, as its eighths are told by their length.
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

SOL_SOCKET, SO_SNDBUF = 1, 7  # Linux
PUBLISHING = ("idle", "asking", "writing")
EIGHTH_MS = 20  # that one lasts here, once nothing can come any more

sleep_ms = asyncio.sleep_ms


class Eighths:
    """The eighths of one link's keep-alive; none passes before `begin`."""

    by_ms = {}

    def __init__(self, keepalive):
        self.passed = 0
        self.begun = asyncio.Event()
        self.by_ms[keepalive * 125] = self

    def begin(self):
        self.begun.set()

    async def one(self):
        await self.begun.wait()
        await sleep_ms(EIGHTH_MS)
        self.passed += 1


def steered_sleep_ms(ms):
    eighths = Eighths.by_ms.get(ms)
    return eighths.one() if eighths else sleep_ms(ms)


async def until_lost(phase, link, eighths):
    """What LinkLost said."""
    try:
        if phase not in PUBLISHING:
            eighths.begin()
        await connected(link)
        await link.subscribe([TOPIC])
        if phase == "asking":
            eighths.begin()
            await link.publish(PRESENCE, b"hole", False)
        elif phase == "writing":
            link._sockets[0].setsockopt(SOL_SOCKET, SO_SNDBUF, 1)  # as little as it can
            eighths.begin()
            await link.publish(PRESENCE, b"hole" + bytes(500000), False)
        elif phase == "idle":
            await link.publish(PRESENCE, b"last", False)
            eighths.begin()
            await link.receive()
    except LinkLost as error:
        return str(error)


async def watch(phase, keepalive, port):
    settings = {}
    if phase == "handshake":
        import tls

        settings["tls"] = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    link = link_to(port, phase, keepalive=int(keepalive), **settings)
    eighths = Eighths(int(keepalive))
    error = await until_lost(phase, link, eighths)
    assert link._packet_id == (2 if phase in PUBLISHING else 0), phase
    assert error, phase + " went on"
    print(phase, "noticed after", eighths.passed / 8, "times the keep-alive:", error)
    assert "does not answer" in error
    assert eighths.passed <= 12
    if phase == "writing":
        assert len(link._stream.out_buf) > 100000, "it was all written"


async def main():
    asyncio.sleep_ms = steered_sleep_ms
    before = open_files()
    await asyncio.gather(*[watch(*place.split(":")) for place in sys.argv[2:]])
    await asyncio.sleep_ms(0)
    assert open_files() == before
    assert waiting_for_sockets() == 0


run(main())
