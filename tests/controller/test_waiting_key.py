"""Tests a service whose order key is held by an agent or a token, which come and go."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from key_holders import soft_token, ssh_agent
from rollout_world import FLEET, PASSPHRASE, TARGET, World, seen

from modelwave_controller.errors import KeyAwayError, OperatorError
from modelwave_controller.home import Home
from modelwave_controller.operations import overview, trusted
from modelwave_controller.rollout.events import KeyAway, KeyBack
from modelwave_controller.service.sending import Issuer
from modelwave_controller.service.serve import Ready, Service
from modelwave_controller.service.tick import Ticker
from modelwave_controller.storage import log
from modelwave_controller.trust import keys, roots, signers, waiting_key
from modelwave_controller.trust.keys import Signer
from modelwave_controller.trust.ssh_agent import Agent
from modelwave_controller.trust.waiting_key import WaitingKey
from modelwave_shared import dsse, ed25519, words

OTHER = "coral-devboard"


def never() -> bytes:
    raise AssertionError("asked for a passphrase or PIN that is not needed")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, devices=12)
    yield made
    made.close()


def key_file(world: World) -> keys.SigningKey:
    return keys.load_key(world.home.path / "order.key", never)


def settings(home: Home, order: str, more: str = "") -> Home:
    path = home.path / "controller.toml"
    path.write_text(path.read_text().replace('order = "order.key"', f'order = "{order}"{more}'))
    return Home(home.path)


def lend(place: Path, key: keys.SigningKey) -> None:
    Agent(str(place), 5).add(key.private.private_bytes_raw(), key.public, "order", 0, False)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class MovedKey:
    """An order key whose holder can be taken away; `cut_at` takes it away at that signature."""

    def __init__(self, key: keys.SigningKey) -> None:
        self.key, self.away, self.cut_at = key, "", -1
        self.public, self.keyid = key.public, key.keyid

    def look(self) -> str:
        return self.away

    def sign(self, message: bytes) -> bytes:
        self.cut_at -= 1
        if not self.cut_at:
            self.away = "the order key is away: the token is not there"
        if self.away:
            raise KeyAwayError(self.away)
        return self.key.sign(message)


def moved(world: World) -> MovedKey:
    key = MovedKey(key_file(world))
    world.issuer = Issuer(world.home.root_document, key, world.issuer.urls)
    world.ticker = Ticker(world.store, world.issuer)
    return key


def kinds(world: World) -> list[str]:
    with world.store.read() as connection:
        events = [*log.events_after(connection)]
    return [e.body.kind for e in events if isinstance(e.body, KeyAway | KeyBack)]


def test_rollout_waits_while_the_order_key_is_away_and_goes_on_by_itself(world: World) -> None:
    key = moved(world)
    key.away = "the order key is away: the token is not there"
    world.start(1)
    for _ in range(3):
        world.tick()
    shown = seen(world)
    assert (shown.status, shown.rows[0].devices) == ("NEW", 0)
    assert "the order key is away: the token is not there" in shown.why
    assert "it goes on by itself when the key is back" in shown.next
    with world.store.read() as connection:
        fleet = overview.fleet(connection, "meadow", world.now)
    assert fleet.key_away == key.away
    assert fleet.service_runs
    key.away = ""
    world.tick()
    assert seen(world).status == "RUNNING"
    assert kinds(world) == ["key_away", "key_back"]


@pytest.mark.parametrize("signature", [1, 2])
def test_key_that_goes_away_while_a_tick_signs_leaves_no_half_step(
    world: World, signature: int
) -> None:
    world.add(6, OTHER)
    key = moved(world)
    world.start(1, targets=(TARGET, OTHER))  # an order for each target, in one tick
    key.cut_at = signature
    world.tick()
    assert key.away
    assert seen(world).rows[0].devices == 0
    assert not any(world.message_for(device) for device in world.devices.values())
    assert kinds(world) == ["key_away"]
    key.away = ""
    world.tick()
    assert (seen(world).status, kinds(world)) == ("RUNNING", ["key_away", "key_back"])
    ordered = [device for device in world.devices.values() if world.ordered(device)]
    assert {device.target for device in ordered} == {TARGET, OTHER}
    assert len(ordered) == seen(world).rows[0].devices


def test_other_than_signing_goes_on_while_the_key_is_away(world: World) -> None:
    key = moved(world)
    world.start(1)
    world.tick()
    key.away = "the order key is away"
    world.answer(words.SUCCEEDED, world.devices.values())
    world.tick()
    world.tick()
    assert "the order key is away" in seen(world).why
    assert seen(world).rows[0].succeeded == seen(world).rows[0].devices > 0


def test_key_in_an_agent_that_ends_and_begins_again(world: World, tmp_path: Path) -> None:
    key, clock = key_file(world), Clock()
    text, allowed = f"ssh-agent:{key.keyid}@sock", {key.keyid: key.public}
    held = WaitingKey(text, allowed, never, tmp_path, clock)
    assert (held.public, held.keyid) == (key.public, key.keyid)  # known while it is away
    assert "there is no agent at" in held.look()
    with ssh_agent(tmp_path, "sock") as place:
        lend(place, key)
        assert "there is no agent at" in held.look()  # it is not tried at every tick
        clock.now += waiting_key.AGAIN_SECONDS
        assert held.look() == ""
        assert held.sign(b"x") == key.sign(b"x")
    with pytest.raises(KeyAwayError, match="there is no agent at"):
        held.sign(b"x")
    assert "is away" in held.look()
    with ssh_agent(tmp_path, "sock") as place:
        lend(place, key)
        clock.now += waiting_key.AGAIN_SECONDS
        assert ed25519.verify(key.public, b"x", held.sign(b"x"))


def test_key_on_a_token_that_is_taken_out_and_put_in_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, clock = soft_token(tmp_path / "soft", monkeypatch), Clock()
    token.make_key("order")
    public = signers.open_public(token.uri("order"), never)
    allowed = {keyid_of(public): public}
    held = WaitingKey(token.uri("order"), allowed, never, tmp_path, clock)
    assert held.look() == ""
    token.take_out()
    with pytest.raises(KeyAwayError, match="is away"):
        _ = [held.sign(b"x") for _ in range(3)]
    clock.now += waiting_key.AGAIN_SECONDS
    assert "the token fleet is not there" in held.look()
    token.put_in()
    clock.now += waiting_key.AGAIN_SECONDS
    assert held.look() == ""
    assert ed25519.verify(public, b"x", held.sign(b"x"))


def test_wrong_pin_is_told_and_corrected_while_the_service_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, clock = soft_token(tmp_path / "soft", monkeypatch), Clock()
    token.make_key("order")
    public = signers.open_public(token.uri("order"), never)
    right = token.pin_file.read_text()
    token.pin_file.write_text("999999\n")
    held = WaitingKey(token.uri("order"), {keyid_of(public): public}, never, tmp_path, clock)
    for _ in range(10):
        assert "the PIN is wrong" in held.look()
        clock.now += waiting_key.AGAIN_SECONDS
    token.pin_file.write_text(right)
    assert held.look() == ""


def test_holder_that_hangs_is_left_after_a_moment_and_not_asked_twice(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, clock, go_on = key_file(world), Clock(), threading.Event()
    begun = []

    class Hanging:
        public, keyid = key.public, key.keyid

        def look(self) -> str:
            return ""

        def sign(self, message: bytes) -> bytes:
            begun.append(message)
            go_on.wait()
            return key.sign(message)

    def opened(*_: object, **__: object) -> Signer:
        return Hanging()

    monkeypatch.setattr(signers, "open_signer", opened)
    monkeypatch.setattr(waiting_key, "MAX_SECONDS", 0.05)
    held = WaitingKey(f"ssh-agent:{key.keyid}", {key.keyid: key.public}, never, tmp_path, clock)
    assert "has not answered for" in held.look()
    clock.now += waiting_key.AGAIN_SECONDS
    assert "still has not answered" in held.look()
    assert len(begun) == 1
    go_on.set()
    monkeypatch.setattr(waiting_key, "MAX_SECONDS", 60)
    until = time.monotonic() + 60
    while held.look() and time.monotonic() < until:
        clock.now += waiting_key.AGAIN_SECONDS
    assert held.sign(b"x") == key.sign(b"x")


@pytest.mark.parametrize(
    ("order", "problem"),
    [
        ("ssh-agent:", "name the key"),
        ("ssh-agent:1a2b3c4d", "1a2b3c4d is not one of the order keys"),
        ("pkcs11:token=a", "name the key"),
        ("no.key", "cannot read"),
        ("", "keys.order"),
    ],
)
def test_wrong_setting_of_the_order_key_is_refused_at_the_start(
    world: World, order: str, problem: str
) -> None:
    with pytest.raises(OperatorError, match=problem):
        Service(settings(world.home, order), world.store)


def test_key_of_an_agent_that_the_root_does_not_name_is_told_with_what_is_left_to_do(
    world: World,
) -> None:
    (told,) = trusted.left_to_do(settings(world.home, "ssh-agent:1a2b3c4d"))
    assert "no order is signed" in told
    assert "1a2b3c4d is not one of the order keys" in told


def test_service_starts_while_the_agent_is_away(world: World) -> None:
    key = key_file(world)
    home = settings(world.home, f"ssh-agent:{key.keyid}@no.sock")
    (home.path / "order.key").unlink()
    assert Service(home, world.store).key.keyid == key.keyid


def test_service_says_once_in_its_log_which_offline_keys_it_can_read_and_that_its_key_is_away(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    key = key_file(world)
    home = settings(world.home, f"ssh-agent:{key.keyid}@no.sock")
    service = Service(home, world.store, tick_seconds=0.05)

    def ready(_: Ready) -> None:
        threading.Thread(target=stop_when_said).start()

    def stop_when_said() -> None:
        said = threading.Event()
        for _ in range(600):
            if kinds(world):
                break
            said.wait(0.1)
        service.stop()

    asyncio.run(service.run(ready))
    assert caplog.text.count("offline keys can be read here (offline/release.key") == 1
    assert caplog.text.count("no order can be signed") == 1
    assert kinds(world) == ["key_away"]


def test_passphrase_of_the_order_key_is_taken_from_its_file(world: World) -> None:
    path = world.home.path
    plain = key_file(world)
    (path / "order.key").unlink()
    created = keys.create_key(path / "order.key", b"secret")
    assert created.keyid != plain.keyid
    (path / "passphrase").write_text("secret\n")
    text = (path / "controller.toml").read_text()
    settings_ = text.replace('passphrase_file = ""', 'passphrase_file = "passphrase"')
    (path / "controller.toml").write_text(settings_)
    with pytest.raises(OperatorError, match=f"{created.keyid} is not one of the order keys"):
        Home(path).order_key()  # it was opened


def keyid_of(public: bytes) -> str:
    return signers.HeldKey("", public, bytes).keyid


def test_key_of_a_token_that_the_root_does_not_name_signs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = soft_token(tmp_path / "soft", monkeypatch)
    token.make_key("order")
    held = WaitingKey(token.uri("order"), {"1a2b3c4d": bytes(32)}, never, tmp_path)
    assert "is not one of the order keys that the fleet's root names" in held.look()


def test_pkcs11_key_signs_the_orders_of_a_service(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = soft_token(tmp_path / "soft", monkeypatch)
    token.make_key("order")
    names = ("root-1", "root-2", "root-3")
    three = [keys.load_key(world.home.offline / f"{n}.key", lambda: PASSPHRASE) for n in names]
    order = signers.open_signer(token.uri("order"), never)
    root = roots.first_root(FLEET, three, world.release_key, order)
    (world.home.path / "root.json").write_bytes(root)
    home = settings(world.home, token.uri("order"))
    (home.path / "order.key").unlink()
    world.ticker = Ticker(
        world.store, Issuer(home.root_document, home.order_key(), world.issuer.urls)
    )
    world.start(1)
    world.tick()
    messages = [world.message_for(device) for device in world.devices.values()]
    found = [one.split(b"\n")[0] for one in messages if one]
    assert found
    assert dsse.read(found[0]).signatures[0][0] == order.keyid
    document, _ = roots.open_signed(words.ORDER, found[0], home.root_document, "")
    assert document["model"] == "digits"
