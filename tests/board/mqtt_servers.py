"""Servers for the board's MQTT client: scripted servers, and a proxy that stops forwarding; also
the compiled package."""

import contextlib
import select
import socket
import threading

from modelwave_controller.boards import package

SECONDS = 20  # for what takes a fraction of one
CONNECT, SUBSCRIBE, PUBLISH, PINGREQ, DISCONNECT = 0x10, 0x82, 0x32, 0xC0, 0xE0
CONNACK = bytes([0x20, 2, 0, 0])


def compile_for_boards(folder):
    """The client and all else of the package, as boards get it: sources would not compile in a
    board's heap."""
    package.write(package.build(), folder)
    return folder


def packet(kind, body=b""):
    length, encoded = len(body), bytearray()
    while length > 127:
        encoded.append(length & 127 | 128)
        length >>= 7
    return bytes([kind, *encoded, length]) + body


def text(value):
    return len(value).to_bytes(2, "big") + value


def message(topic, payload, number=0):
    """A PUBLISH, at QoS 1 if it has a number."""
    identifier = number.to_bytes(2, "big") if number else b""
    return packet(0x32 if number else 0x30, text(topic) + identifier + payload)


class Visitor:
    """A client's connection, on the server's side."""

    def __init__(self, sock):
        self.sock = sock
        self.file = sock.makefile("rb")
        sock.settimeout(SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self):
        """The next packet: (first byte, body); (0, b"") at the end."""
        kind = self.file.read(1)
        if not kind:
            return 0, b""
        length = shift = 0
        while True:
            (digit,) = self.file.read(1)
            length |= (digit & 127) << shift
            shift += 7
            if digit < 128:
                return kind[0], self.file.read(length)

    def expect(self, wanted):
        """Returns the body of the next packet, which must be of this kind; it skips pings."""
        kind, body = self.read()
        while kind == PINGREQ:
            kind, body = self.read()
        assert kind == wanted, hex(kind)
        return body

    def send(self, data, piece=0):
        """`piece`: so many bytes at a time."""
        with contextlib.suppress(ConnectionError):
            for start in range(0, len(data), piece or len(data) or 1):
                self.sock.sendall(data[start : start + (piece or len(data))])

    def accept(self, piece=0):
        """Answers as a broker does until the client has connected, subscribed, published."""
        self.expect(CONNECT)
        self.send(CONNACK, piece)
        self.send(packet(0x90, self.expect(SUBSCRIBE)[:2] + b"\1"), piece)
        body = self.expect(PUBLISH)
        start = 2 + int.from_bytes(body[:2], "big")
        self.send(packet(0x40, body[start : start + 2]), piece)

    def until_gone(self):
        with contextlib.suppress(ConnectionError):
            while self.file.read(4096):
                pass

    def close(self):
        self.file.close()
        self.sock.close()


class Script:
    """A server that serves its n-th client with the n-th of these functions, then closes."""

    def __init__(self, *scenes):
        self.scenes = scenes
        self.errors = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(SECONDS)
        assert kind or not self.errors, self.errors

    def _serve(self):
        for scene in self.scenes:
            try:
                visitor = Visitor(self.listener.accept()[0])
            except OSError:
                return
            try:
                scene(visitor)
            except Exception as error:
                self.errors.append((scene, error))
            finally:
                visitor.close()


class Hole:
    """A proxy to the broker at `port` that forwards nothing more, without closing, once its client
    has sent "hole"; or "last", after that was answered."""

    def __init__(self, port):
        self.broker = port
        self.listener = socket.socket()
        # What is not taken soon stops the sender.
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(1)
        self.port = self.listener.getsockname()[1]
        self.last = False
        self.open = []
        self.thread = threading.Thread(target=self._forward, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        for sock in (*self.open, self.listener):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(SECONDS)
        for sock in (*self.open, self.listener):
            sock.close()

    def _forward(self):
        with contextlib.suppress(ConnectionError):
            self._forward_until_the_hole()

    def _forward_until_the_hole(self):
        client = self.listener.accept()[0]
        server = socket.create_connection(("127.0.0.1", self.broker))
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.open = [client, server]
        while True:
            for sock in select.select(self.open, [], [])[0]:
                data = sock.recv(512)
                if not data or b"hole" in data:
                    return
                (server if sock is client else client).sendall(data)
                if sock is server and self.last:
                    return
                self.last = b"last" in data


@contextlib.contextmanager
def full_port():
    """A port that does not even answer a SYN, as its queue is full."""
    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            sock = waiting.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
