"""The board's MQTT client on real MicroPython, in a board's heap, with real brokers."""

import asyncio
import contextlib
import datetime
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from modelwave_controller.broker import BrokerSettings, EmbeddedBroker
from tests import micropython
from tests.agent.host_places import Authority, Mosquitto, refused_port
from tests.board.mqtt_servers import (
    CONNACK,
    CONNECT,
    SECONDS,
    Hole,
    Script,
    compile_for_boards,
    full_port,
    message,
    packet,
)

PROGRAMS = Path(__file__).parent / "programs"
HEAP = "64k"
TOPIC = b"modelwave/1/demo/desired/rp2040/digits/7"
RECONNECTS = 2000


@pytest.fixture(scope="module")
def lib(tmp_path_factory):
    return compile_for_boards(tmp_path_factory.mktemp("lib"))


@contextlib.contextmanager
def mosquitto(folder, *lines):
    # Without the first it keeps a small packet back until the last one was acknowledged;
    # nobody reads what it says.
    quick = ("set_tcp_nodelay true", "connection_messages false")
    with Mosquitto(folder, *quick, *lines) as broker:
        yield broker


@contextlib.contextmanager
def embedded(_folder):
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def call(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(SECONDS)

    async def start():
        broker = EmbeddedBroker(BrokerSettings())
        await broker.start()
        return broker

    try:
        broker = call(start())
        try:
            yield broker
        finally:
            call(broker.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


BROKERS = {"mosquitto": mosquitto, "embedded": embedded}


@pytest.fixture(params=BROKERS)
def broker(request, tmp_path):
    with BROKERS[request.param](tmp_path) as running:
        yield running


def lines_of(lib, program, *arguments):
    """What the program says, without its last line; it must end well."""
    done = micropython.run(lib, PROGRAMS / program, lib, *arguments, heap=HEAP)
    print(done.stdout + done.stderr)
    lines = done.stdout.splitlines()
    assert lines
    assert lines.pop() == "done"
    assert not done.stderr
    return lines


def test_client_on_a_real_broker(lib, broker):
    assert len(lines_of(lib, "mqtt_basics.py", broker.port)) == 7


def test_reconnects_and_cancellations_leave_nothing(lib, tmp_path):
    with mosquitto(tmp_path) as running:
        lines_of(lib, "mqtt_life.py", running.port, RECONNECTS)


def test_reconnects_to_the_embedded_broker_leave_nothing(lib, tmp_path):
    with embedded(tmp_path) as running:
        lines_of(lib, "mqtt_life.py", running.port, 50)


def test_silence_is_noticed_within_one_and_a_half_keep_alives(lib, tmp_path):
    def silent(visitor):
        visitor.until_gone()

    with contextlib.ExitStack() as places:
        port = places.enter_context(mosquitto(tmp_path)).port
        phases = {phase: places.enter_context(Hole(port)).port for phase in HOLES}
        phases["opening"] = places.enter_context(full_port())
        phases["handshake"] = places.enter_context(Script(silent)).port
        phases["connack"] = places.enter_context(Script(silent)).port
        told = [f"{phase}:{2 + n % 2}:{at}" for n, (phase, at) in enumerate(phases.items())]
        lines = lines_of(lib, "mqtt_holes.py", *told)
    assert sorted(line.split()[0] for line in lines) == sorted(phases)


HOLES = ("idle", "asking", "writing")


def test_message_that_does_not_fit_the_heap_is_dropped_and_the_next_one_comes(lib):
    def scene(visitor):
        visitor.accept()
        visitor.send(message(TOPIC, b"x" * 8000, 9) + message(TOPIC, b"small"))
        assert visitor.expect(0x40) == b"\0\x09"
        body = visitor.expect(0x32)
        visitor.send(packet(0x40, body[2 + len(TOPIC) :][:2]))
        visitor.send(message(TOPIC, b"x" * 8000))

    with Script(scene) as server:
        assert lines_of(lib, "mqtt_memory.py", server.port)


def test_broker_that_was_killed_is_connected_to_again(lib, tmp_path):
    with mosquitto(tmp_path) as running, started(lib, "mqtt_again.py", running.port, 3) as agent:
        for _ in range(2):
            assert agent.stdout.readline() == "up\n"
            running_broker = running
            running_broker.stop()  # SIGKILL
            assert agent.stdout.readline().startswith("lost")
            running_broker.start()
            line = agent.stdout.readline()
            while line.startswith("lost"):
                line = agent.stdout.readline()
            assert line == "up\n"
            break


def started(lib, program, *arguments):
    return micropython.start(lib, PROGRAMS / program, lib, *arguments, heap=HEAP)


def test_unknown_hosts_and_closed_ports_are_told(lib):
    pass


def test_tls(lib):
    pass


_ = (CONNACK, CONNECT, Authority, refused_port, datetime, x509, hashes, serialization, ec, NameOID)
