"""Links that go silent without an end: mqtt_holes.py LIB PHASE:KEEPALIVE:PORT …

For each the time from the last byte that can have come until LinkLost, over the keep-alive.
"""

import asyncio
import sys
import time

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


async def until_lost(phase, link):
    """(milliseconds, what LinkLost said)"""
    start = time.ticks_ms()
    try:
        await connected(link)
        await link.subscribe([TOPIC])
        start = time.ticks_ms()
        if phase == "asking":
            await link.publish(PRESENCE, b"hole", False)
        elif phase == "writing":
            link._sockets[0].setsockopt(SOL_SOCKET, SO_SNDBUF, 1)  # as little as it can
            await link.publish(PRESENCE, b"hole" + bytes(500000), False)
        elif phase == "idle":
            await link.publish(PRESENCE, b"last", False)
            start = time.ticks_ms()
            await link.receive()
    except LinkLost as error:
        return time.ticks_diff(time.ticks_ms(), start), str(error)


async def watch(phase, keepalive, port):
    settings = {}
    if phase == "handshake":
        import tls

        settings["tls"] = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    link = link_to(port, phase, keepalive=int(keepalive), **settings)
    found = await until_lost(phase, link)
    assert link._packet_id == (2 if phase in PUBLISHING else 0), phase
    assert found, phase + " went on"
    waited, error = found
    ratio = waited / 1000 / int(keepalive)
    print(phase, "noticed after", ratio, "times the keep-alive:", error)
    assert "does not answer" in error
    assert ratio <= 1.5
    if phase == "writing":
        assert len(link._stream.out_buf) > 100000, "it was all written"


async def main():
    before = open_files()
    await asyncio.gather(*[watch(*place.split(":")) for place in sys.argv[2:]])
    await asyncio.sleep_ms(0)
    assert open_files() == before
    assert waiting_for_sockets() == 0


run(main())
