"""The board's MQTT client on real MicroPython, in a board's heap, with real brokers."""

import asyncio
import contextlib
import datetime
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from modelwave_controller.broker import EmbeddedBroker, EmbeddedBrokerSettings
from tests import micropython
from tests.agent.host_places import Mosquitto, refused_port
from tests.board.mqtt_servers import (
    SECONDS,
    Hole,
    Script,
    compile_for_boards,
    full_port,
    message,
)
from tests.certificates import Authority

PROGRAMS = Path(__file__).parent / "programs"
HEAP = "80k"  # a chain of two certificates over TLS needs the most
TOPIC = b"modelwave/1/demo/desired/rp2040/digits/7"
RECONNECTS = 2000
HOLES = ("idle", "asking", "writing")


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
def embedded(_folder, settings=None):
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def call(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(SECONDS)

    async def start():
        broker = EmbeddedBroker(settings or EmbeddedBrokerSettings())
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


def lines_of(lib, program, *arguments, heap=HEAP):
    """What the program says, without its last line; it must end well."""
    done = micropython.run(lib, PROGRAMS / program, lib, *arguments, heap=heap)
    print(done.returncode, done.stdout + done.stderr)
    lines = done.stdout.splitlines()
    assert lines
    assert lines.pop() == "done"
    assert not done.stderr
    return lines


def test_client_on_a_real_broker(lib, broker):
    assert len(lines_of(lib, "mqtt_basics.py", broker.port)) == 9


@pytest.mark.slow
def test_reconnects_and_cancellations_leave_nothing(lib, tmp_path):
    with mosquitto(tmp_path) as running:
        lines_of(lib, "mqtt_life.py", running.port, RECONNECTS)


@pytest.mark.slow
def test_reconnects_to_the_embedded_broker_leave_nothing(lib, tmp_path):
    with embedded(tmp_path) as running:
        lines_of(lib, "mqtt_life.py", running.port, 50)


@pytest.mark.slow
def test_silence_is_noticed_within_one_and_a_half_keep_alives(lib, tmp_path):
    def silent(visitor):
        visitor.until_gone()

    with contextlib.ExitStack() as places:
        port = places.enter_context(mosquitto(tmp_path)).port
        phases = {phase: places.enter_context(Hole(port)).port for phase in HOLES}
        phases["opening"] = places.enter_context(full_port())
        phases["connack"] = places.enter_context(Script(silent)).port
        told = [f"{phase}:{60 + n}:{at}" for n, (phase, at) in enumerate(phases.items())]
        lines = lines_of(lib, "mqtt_holes.py", *told, heap="4m")  # to fill the buffers
    assert [line.split()[0] for line in sorted(lines)] == sorted(phases)


@pytest.mark.slow
def test_tls_handshake_that_hangs_is_noticed_in_time(lib):
    """Apart from the others: MicroPython 1.25's poll() on Unix loses its TLS sockets when
    it has more than four others to wait for."""
    with Script(lambda visitor: visitor.until_gone()) as server:
        (line,) = lines_of(lib, "mqtt_holes.py", f"handshake:60:{server.port}")
    assert line.startswith("handshake noticed")


def test_message_that_does_not_fit_the_heap_comes_again_with_the_next_connection(lib):
    def scene(visitor):
        visitor.accept()
        visitor.send(message(TOPIC, b"x" * 8000, 9))
        visitor.until_gone()

    with Script(scene, scene) as server:
        lines = lines_of(lib, "mqtt_memory.py", server.port)
    assert "no memory for a message" in lines[1]


def test_broker_that_was_killed_is_connected_to_again(lib, tmp_path):
    with mosquitto(tmp_path) as broker, started(lib, "mqtt_again.py", broker.port, 3) as agent:
        for _ in range(2):
            assert agent.stdout.readline() == "up\n"
            broker.stop()  # SIGKILL
            assert agent.stdout.readline().startswith("lost")
            broker.start()
        rest = agent.stdout.read().splitlines()
        assert [line for line in rest if not line.startswith("lost")] == ["up", "done"]
        assert agent.wait(SECONDS) == 0


@contextlib.contextmanager
def started(lib, program, *arguments):
    process = micropython.start(lib, PROGRAMS / program, lib, *arguments, heap=HEAP)
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_closed_port_and_unknown_host_are_told(lib):
    with refused_port() as port:
        lines = lines_of(lib, "mqtt_where.py", f"127.0.0.1:{port}", "nowhere.invalid:1883")
    assert lines == [
        f"127.0.0.1:{port}: [Errno 111] ECONNREFUSED",
        "nowhere.invalid:1883: the name of the broker's host is not known",
    ]


def test_link_connects_to_the_address_that_it_was_turned_to(lib, tmp_path):
    with refused_port() as away, mosquitto(tmp_path) as running:
        lines = lines_of(lib, "mqtt_turn.py", away, running.port)
    assert lines == [f"127.0.0.1:{away}: [Errno 111] ECONNREFUSED", "connected"] * 2


# TLS.


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def over_tls(lib, folder, authority, ca, host="localhost", certificate=None):
    """What two sessions came to, with a broker that has this certificate."""
    lines = (
        f"certfile {certificate or authority.cert_file}",
        f"keyfile {authority.key_file}",
    )
    with mosquitto(folder, *lines) as broker:
        found = lines_of(lib, "mqtt_tls.py", broker.port, host, ca)
    return [line.replace(f"{host}:{broker.port}: ", "") for line in found]


def test_tls_with_the_authority_in_pem_and_in_der(lib, tmp_path, authority):
    der = tmp_path / "ca.der"
    der.write_bytes(ssl.PEM_cert_to_DER_cert(Path(authority.ca_file).read_text()))
    for ca in (authority.ca_file, der):
        assert over_tls(lib, tmp_path, authority, ca) == ["well", "well"]


def test_second_authority_of_a_pem_file_is_trusted_as_well(lib, tmp_path, authority):
    (tmp_path / "other").mkdir()
    both = tmp_path / "both.pem"
    other = Authority(tmp_path / "other").ca_file
    both.write_text(Path(other).read_text() + Path(authority.ca_file).read_text())
    assert over_tls(lib, tmp_path, authority, both) == ["well", "well"]


def test_certificate_of_another_authority_is_told(lib, tmp_path, authority):
    other = Authority(tmp_path)
    (first, second) = over_tls(lib, tmp_path, authority, other.ca_file)
    assert first == second
    assert first.startswith("the broker's certificate is not trusted: ")
    assert "not correctly signed by the trusted CA" in first


def test_certificate_for_another_host_is_told(lib, tmp_path, authority):
    (first, _) = over_tls(lib, tmp_path, authority, authority.ca_file, host="127.0.0.1")
    assert first.startswith("the broker's certificate is not trusted: ")
    assert "Common Name" in first


def test_expired_certificate_is_told(lib, tmp_path, authority):
    path = expired(tmp_path, authority)
    (first, _) = over_tls(lib, tmp_path, authority, path, certificate=path)
    assert first.startswith("the broker's certificate is not trusted: ")
    assert "expired" in first


def expired(folder, authority):
    """Its own authority, so that only the time speaks against it."""
    pem = Path(authority.key_file).read_bytes()
    key = serialization.load_pem_private_key(pem, None)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=9))
        .not_valid_after(now - datetime.timedelta(days=2))
        .sign(key, hashes.SHA256())
    )
    path = folder / "expired.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize("form", ["PEM", "DER"])
def test_board_with_a_certificate_of_its_own_is_known_by_it(lib, tmp_path, form):
    made = Authority(tmp_path)
    own, key = made.issue("board")
    if form == "DER":
        for path, read in ((own, ssl_der), (key, _private)):
            Path(path).write_bytes(read(Path(path).read_bytes()))
    lines = (
        f"certfile {made.cert_file}",
        f"keyfile {made.key_file}",
        f"cafile {made.ca_file}",
        "require_certificate true",
        "use_identity_as_username true",
    )
    with mosquitto(tmp_path, *lines) as broker:
        program = ("mqtt_certificate.py", broker.port, made.ca_file, own, key)
        (without, with_it) = lines_of(lib, *program)
    assert without.startswith(f"localhost:{broker.port}: ")
    assert with_it == "well"


def ssl_der(data):
    return ssl.PEM_cert_to_DER_cert(data.decode())


def _private(data):
    key = serialization.load_pem_private_key(data, None)
    der, plain = serialization.Encoding.DER, serialization.NoEncryption()
    return key.private_bytes(der, serialization.PrivateFormat.TraditionalOpenSSL, plain)


def test_port_without_tls_is_told(lib, tmp_path, authority):
    with mosquitto(tmp_path) as broker:
        (first, _) = lines_of(lib, "mqtt_tls.py", broker.port, "localhost", authority.ca_file)
    assert first.startswith(f"localhost:{broker.port}: ")
    assert "ECONNRESET" in first or "closed" in first
