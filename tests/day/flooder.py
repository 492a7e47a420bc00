"""A client that sends too much, in a process of its own:

    python -m tests.day.flooder messages|connections PORT NAME PASSWORD SECONDS

It ends by itself after SECONDS, and prints how much it sent as one line of JSON. It connects from
an address of its own, on loopback.

    messages     MESSAGES_A_SECOND over one connection, as far as they are taken: reports and
                 windows of the device NAME, each of which says something new
    connections  CONNECTIONS at a time, each made anew when it ends: those of one third say
                 nothing, those of another give a wrong password, the rest are the device NAME
"""

import contextlib
import json
import selectors
import socket
import sys
import threading
import time

from modelwave_controller.broker import packets
from modelwave_controller.load import packets as client_packets
from modelwave_controller.load.connection import KEEP_ALIVE_SECONDS
from modelwave_controller.load.device import SimulatedDevice
from tests.controller.rollout_world import FLEET, TARGET

ADDRESS = "127.0.0.9"
MESSAGES_A_SECOND, CONNECTIONS = 10_000, 1000
BURSTS_A_SECOND = 100
CONNECTS_A_SECOND = 500
STUCK_SECONDS = 0.5  # a send that is not taken for so long is tried again


def messages(port: int, device: SimulatedDevice, password: str, seconds: float) -> dict[str, int]:
    """Floods; returns how many messages were taken, and how often it had to connect."""
    made = {"messages": 0, "connections": 0}
    end, due = time.monotonic() + seconds, time.monotonic()
    while time.monotonic() < end:
        with contextlib.suppress(OSError), _connected(port, device, password) as client:
            made["connections"] += 1
            while (now := time.monotonic()) < end:
                number = MESSAGES_A_SECOND // BURSTS_A_SECOND
                _send(client, b"".join(_message(device) for _ in range(number)), end)
                made["messages"] += number
                due = max(due + 1 / BURSTS_A_SECOND, now)  # what was not taken is not made up for
                time.sleep(max(0.0, due - time.monotonic()))
    return made


def connections(
    port: int, device: SimulatedDevice, password: str, seconds: float
) -> dict[str, int]:
    """Floods; returns how many connections it made, and how many were open at most."""
    made = {"connections": 0, "most open": 0}
    first = [b"", _connect(device, "wrong"), _connect(device, password)]
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as waiting:
        while time.monotonic() < end:
            count = min(CONNECTS_A_SECOND // 10, CONNECTIONS - len(waiting.get_map()))
            for _ in range(count):
                with contextlib.suppress(OSError):
                    client = _open(port)
                    waiting.register(client, selectors.EVENT_READ)
                    made["connections"] += 1
                    client.sendall(first[made["connections"] % len(first)])
            made["most open"] = max(made["most open"], len(waiting.get_map()))
            due = time.monotonic() + 0.1
            for key, _ in waiting.select(0.1):
                _read(waiting, key.fileobj)
            time.sleep(max(0.0, due - time.monotonic()))
        for key in list(waiting.get_map().values()):
            _close(waiting, key.fileobj)
    return made


def _message(device: SimulatedDevice) -> bytes:
    """A report and a window in turn, at QoS 1, the report retained as an agent's is."""
    device.n += 1
    number = device.n % 65535 + 1
    if device.n % 2:
        return packets.publish(device.reported.encode(), _report(device), number, retain=True)
    return packets.publish(device.metrics.encode(), _window(device), number, retain=False)


def _report(device: SimulatedDevice) -> bytes:
    return _REPORT.replace(b"NUMBER", str(device.n).encode())


def _window(device: SimulatedDevice) -> bytes:
    return (
        b'{"boot":1,"n":%d,"model":"digits","release":1,"window":%d,"seconds":900,"age_seconds":0,'
        b'"inferences":100,"failures":0,"labelled":10,"correct":9}' % (device.n, device.n)
    )


def _template() -> bytes:
    device = SimulatedDevice(FLEET, "any", TARGET, "digits", boot=1)
    document = json.loads(device.report()) | {"n": "NUMBER", "refused": "flood NUMBER"}
    return json.dumps(document).encode().replace(b'"NUMBER"', b"NUMBER")


_REPORT = _template()


def _connect(device: SimulatedDevice, password: str) -> bytes:
    given = (device.name, device.name, password, device.presence, b"offline", KEEP_ALIVE_SECONDS)
    return client_packets.connect(*given)


def _open(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), STUCK_SECONDS, (ADDRESS, 0))


@contextlib.contextmanager
def _connected(port: int, device: SimulatedDevice, password: str):
    with contextlib.closing(_open(port)) as client:
        client.sendall(_connect(device, password))
        client.recv(4)  # the CONNACK
        threading.Thread(target=_drain, args=(client,), daemon=True).start()
        yield client


def _drain(client: socket.socket) -> None:
    """Reads the acknowledgements away."""
    with contextlib.suppress(OSError):
        while True:
            try:
                if not client.recv(65536):
                    return
            except TimeoutError:
                continue


def _send(client: socket.socket, data: bytes, end: float) -> None:
    left = memoryview(data)
    while left and time.monotonic() < end:
        with contextlib.suppress(TimeoutError):
            left = left[client.send(left) :]


def _read(waiting: selectors.BaseSelector, client) -> None:
    try:
        data = client.recv(65536)
    except OSError:
        data = b""
    if not data:
        _close(waiting, client)


def _close(waiting: selectors.BaseSelector, client) -> None:
    waiting.unregister(client)
    client.close()


def main() -> None:
    kind, port, name, password, seconds = sys.argv[1:]
    device = SimulatedDevice(FLEET, name, TARGET, "digits", boot=1)
    flood = {"messages": messages, "connections": connections}[kind]
    print(json.dumps(flood(int(port), device, password, float(seconds))))


if __name__ == "__main__":
    main()
