"""A network between a client and a server that can be frozen, in one direction or both, or refuse
every connection.

While it is frozen, nothing passes and nobody is told. When it is healed, it delivers what was sent
meanwhile; what a sender that is gone by then had sent, only if it `keeps`. New connections are
accepted, and nothing passes over them."""

import contextlib
import queue
import socket
import threading
from collections.abc import Iterator

GONE = b""


class Network:
    """Forwards the connections to `port` of this machine to the port of a server on it."""

    def __init__(self, to: int, keeps: bool = False) -> None:
        self.to = to
        self.keeps = keeps
        self.freeze_at = (
            0  # the number of the order in front of which it freezes `freezes`; 0: none
        )
        self.freezes = {"up": True, "down": True}
        self.orders = 0  # that were sent to the server
        self.late = 0  # that were on their way when it was healed
        self._passing = {"up": threading.Event(), "down": threading.Event()}
        self._sockets: list[socket.socket] = []
        self._undelivered: list[queue.Queue[bytes]] = []
        self._listen(0)
        self.heal()

    def freeze(self, up: bool = True, down: bool = True) -> None:
        """up: from the client to the server."""
        for name, freezes in (("up", up), ("down", down)):
            if freezes:
                self._passing[name].clear()

    @property
    def frozen(self) -> bool:
        return not all(passing.is_set() for passing in self._passing.values())

    def drained(self) -> bool:
        """Whether all is delivered that is to be."""
        return not any(chunks.unfinished_tasks for chunks in self._undelivered)

    def heal(self) -> None:
        for passing in self._passing.values():
            passing.set()

    def refuse(self) -> None:
        """Ends all connections and refuses new ones."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._end_all()

    def accept_again(self) -> None:
        self._listen(self.port)

    def close(self) -> None:
        self.heal()
        with contextlib.suppress(OSError):  # it refuses already
            self.refuse()

    def _listen(self, port: int) -> None:
        self._server = socket.create_server(("127.0.0.1", port))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = server.accept()
                try:
                    real = socket.create_connection(("127.0.0.1", self.to))
                except OSError:
                    client.close()
                    continue
                self._sockets += [client, real]
                for source, sink, name in ((client, real, "up"), (real, client, "down")):
                    chunks: queue.Queue[bytes] = queue.Queue()
                    self._undelivered.append(chunks)
                    for work in (_receive, self._deliver):
                        arguments = (source, chunks) if work is _receive else (chunks, sink, name)
                        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _deliver(self, chunks: "queue.Queue[bytes]", sink: socket.socket, name: str) -> None:
        passing = self._passing[name]
        with contextlib.suppress(OSError):
            while chunk := chunks.get():
                orders = chunk.count(b"/desired/") if name == "up" else 0
                self.orders += orders
                if self.freeze_at and self.orders >= self.freeze_at:
                    self.freeze_at = 0
                    self.freeze(**self.freezes)
                if not passing.is_set():
                    passing.wait()
                    if not self.keeps and GONE in chunks.queue:
                        break
                    self.late += orders
                sink.sendall(chunk)
                chunks.task_done()
            sink.shutdown(socket.SHUT_WR)
        self._undelivered.remove(chunks)

    def _end_all(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._sockets.clear()


def _receive(source: socket.socket, chunks: "queue.Queue[bytes]") -> None:
    chunk = b"x"
    while chunk:
        try:
            chunk = source.recv(65536)
        except OSError:  # it was reset
            chunk = GONE
        chunks.put(chunk)  # GONE at the end


@contextlib.contextmanager
def network(to: int, keeps: bool = False) -> Iterator[Network]:
    made = Network(to, keeps)
    try:
        yield made
    finally:
        made.close()
