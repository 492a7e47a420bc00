"""A process in the place of a broker, which sends messages as fast as they are read:

    python -m benchmarks.scale.flood FILE

It prints its port, and serves one client after the other. To each it sends what is in FILE, MQTT
packets as `packets` makes them, once the client has subscribed. So a measurement has the transport
that a service has, with QoS 1 and its acknowledgements, and no broker that is slower than what is
measured."""

import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

CONNACK, UNSUBACK = b"\x20\x02\x00\x00", 0xB0
_CONNECT, _SUBSCRIBE, _UNSUBSCRIBE = 0x10, 0x80, 0xA0


def packets(messages: Iterable[tuple[str, bytes]]) -> bytes:
    """Returns the messages as PUBLISH packets of QoS 1."""
    found = []
    for number, (topic, payload) in enumerate(messages):
        name = topic.encode()
        body = struct.pack(">H", len(name)) + name + struct.pack(">H", number % 65535 + 1)
        found.append(b"\x32" + _length(len(body) + len(payload)) + body + payload)
    return b"".join(found)


@contextmanager
def flooding(file: Path) -> Iterator[int]:
    """Runs the process; yields its port."""
    command = [sys.executable, "-m", "benchmarks.scale.flood", str(file)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def _length(size: int) -> bytes:
    found = bytearray()
    while True:
        size, low = divmod(size, 128)
        found.append(low | (128 if size else 0))
        if not size:
            return bytes(found)


def _serve(listening: socket.socket, data: bytes) -> None:
    while True:
        client, _ = listening.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_answer, args=(client, data), daemon=True).start()


def _answer(client: socket.socket, data: bytes) -> None:
    """Answers the client, and reads its acknowledgements away."""
    sending = threading.Thread(target=client.sendall, args=(data,), daemon=True)
    with client, client.makefile("rb") as stream:
        while head := stream.read(1):
            body = stream.read(_read_length(stream))
            kind = head[0] & 0xF0
            if kind == _CONNECT:
                client.sendall(CONNACK)
            elif kind == _SUBSCRIBE:
                filters = _filters(body[2:])
                client.sendall(bytes([0x90, 2 + filters]) + body[:2] + b"\x01" * filters)
                sending.start()
            elif kind == _UNSUBSCRIBE:
                sending.join()
                client.sendall(bytes([UNSUBACK, 2]) + body[:2])


def _filters(body: bytes) -> int:
    found = 0
    while body:
        (size,) = struct.unpack(">H", body[:2])
        body, found = body[size + 3 :], found + 1
    return found


def _read_length(stream: "socket.SocketIO") -> int:  # type: ignore[name-defined]
    size, shift = 0, 0
    while True:
        (byte,) = stream.read(1)
        size |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return size


def main() -> None:
    data = Path(sys.argv[1]).read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)
        _serve(listening, data)


if __name__ == "__main__":
    main()
