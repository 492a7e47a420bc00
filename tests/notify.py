"""A supervisor in place of systemd: the socket that programs tell how they are."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

SECONDS = 60


class Notified:
    def __init__(self, receiver: socket.socket) -> None:
        self._receiver = receiver

    def next(self) -> list[str]:
        """The lines of the next message."""
        return self._receiver.recv(4096).decode().split("\n")

    def until(self, line: str) -> list[str]:
        """Waits for the message that has this line, and returns its lines."""
        while line not in (lines := self.next()):
            pass
        return lines


@contextlib.contextmanager
def notified(folder: Path) -> Iterator[tuple[str, Notified]]:
    """Yields what NOTIFY_SOCKET is to be, and what is received there."""
    path = folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        receiver.settimeout(SECONDS)
        yield str(path), Notified(receiver)
