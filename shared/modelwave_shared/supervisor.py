"""Tells systemd, if it has started this program, that it is ready, how it is, and that it lives.

This is the protocol of sd_notify(3): lines such as READY=1 in a datagram to $NOTIFY_SOCKET. Without
that variable nothing is sent. It needs CPython, so no board imports it.
"""

import contextlib
import os
import socket

READY, STOPPING, ALIVE = "READY=1", "STOPPING=1", "WATCHDOG=1"
MAX_STATUS = 200
SEND_SECONDS = 1


def tell(*lines: str) -> None:
    """Sends these lines. A supervisor that does not take them is no trouble of this program's."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(SEND_SECONDS)
        sender.sendto("\n".join(lines).encode(), address.replace("@", "\0", 1))


def status(text: str) -> str:
    """Returns the line by which `systemctl status` shows this text."""
    return "STATUS=" + "".join(c if c.isprintable() else "?" for c in text[:MAX_STATUS])


def watchdog_seconds() -> float | None:
    """Returns the time within which systemd wants ALIVE, or it ends this process; None: never."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    given = os.environ.get("WATCHDOG_USEC", "")
    return int(given) / 1e6 if given.isascii() and given.isdigit() and int(given) else None
