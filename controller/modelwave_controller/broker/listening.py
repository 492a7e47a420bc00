"""Listens for connections so that a whole fleet may come at once."""

import asyncio
import os
import socket
from collections.abc import Callable

BACKLOG = 1024  # connections that the system holds until they are accepted
# So many of them are accepted in one go, before the first of these is read. It takes the event
# loop a few rounds to read one, and all that were accepted meanwhile have to fit into
# MAX_WAITING_BY_ADDRESS: of a fleet behind one address the first would be ended as silent.
ACCEPTED_AT_ONCE = 25


async def listen(make: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> asyncio.Server:
    """Starts a server in the running loop. Raises OSError."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        make, host, port, reuse_address=True, backlog=ACCEPTED_AT_ONCE
    )
    for one in server.sockets:
        # asyncio has one number for what it accepts in one go and for what the system holds.
        with socket.socket(fileno=os.dup(one.fileno())) as same:
            same.listen(BACKLOG)
    return server
