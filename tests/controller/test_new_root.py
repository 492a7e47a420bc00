"""What a new root makes of orders that stand: an offline device takes the roots first, and must
find an order then that it may take."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from next_roots import Following, epoch, key, new_order_key, next_root, publish, root_keys
from rollout_world import FLEET, TARGET, World, newest, quick

from modelwave_controller import disk
from modelwave_controller.cli import run
from modelwave_controller.cli.options import PASSPHRASE as PASSPHRASE_VARIABLE
from modelwave_controller.errors import OperatorError, TrustError
from modelwave_controller.home import Home
from modelwave_controller.operations import recover
from modelwave_controller.releases.catalog import Releases
from modelwave_controller.rollout.events import FLEET as FLEET_LOG
from modelwave_controller.rollout.events import FoundNewer, Reordered
from modelwave_controller.rollout.facts import Known
from modelwave_controller.rollout.repair import FIRST_PAUSE_SECONDS, MARGIN_SECONDS
from modelwave_controller.rollout.state import FINISHED, RUNNING
from modelwave_controller.service import differences
from modelwave_controller.service.roots_in_use import RootsInUse
from modelwave_controller.service.sending import Sender
from modelwave_controller.service.tick import Ticker
from modelwave_controller.storage import ahead, log, outbox
from modelwave_controller.trust import changes, drafts, keys
from modelwave_shared import documents, dsse, topics
from modelwave_shared.slots import slot
from modelwave_shared.words import MANIFEST, ORDER


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=10)) as made:
        yield made


@pytest.fixture
def following(world: World) -> Following:
    found = Following(world)
    found.tick()
    return found


def retained_messages(world: World) -> dict[str, bytes]:
    """Every order that the broker is to hold."""
    with world.store.read() as connection:
        held = outbox.rows_under(connection, FLEET, ("desired",))
        return {
            topic: outbox.blob(connection, row.digest) for topic, row in held.items() if row.digest
        }


def is_valid(message: bytes, root: dict[str, Any]) -> bool:
    """Whether a device with this root takes both documents, as far as signatures and epoch go."""
    order, _, manifest = message.partition(b"\n")
    try:
        opened = documents.open_signed(ORDER, dsse.read(order), root)
        documents.open_signed(MANIFEST, dsse.read(manifest), root)
    except ValueError:
        return False
    return bool(opened["epoch"] == root["epoch"])


def require_all_valid(world: World) -> None:
    root = Home(world.home.path).root_document
    found = retained_messages(world)
    assert found
    assert [topic for topic, message in found.items() if not is_valid(message, root)] == []


def bring(following: Following, release: int, *percents: float) -> None:
    """A rollout that finishes."""
    world = following.world
    world.start(release, quick(*percents))
    for _ in range(3 * len(percents) + 3):
        following.tick()
        world.answer("SUCCEEDED", world.devices.values())
    following.tick()
    assert newest(world).status == FINISHED


def test_orders_of_finished_and_running_rollouts_are_signed_with_the_new_order_key(
    following: Following, world: World
) -> None:
    bring(following, 1, 100)
    world.start(2, quick(10, 100))
    following.tick()
    assert newest(world).status == RUNNING
    before = {name: world.ordered(device) for name, device in world.devices.items()}
    publish(world.home, new_order_key(world.home))
    following.tick()
    require_all_valid(world)
    for name, device in world.devices.items():
        old, new = before[name], world.ordered(device)
        assert old
        assert new
        assert new["seq"] > old["seq"]
        assert (new["manifest"], new["epoch"]) == (old["manifest"], old["epoch"])
    assert len({new["manifest"] for new in map(world.ordered, world.devices.values()) if new}) == 2
    world.answer("SUCCEEDED", world.devices.values())
    following.tick()
    world.answer("SUCCEEDED", world.devices.values())
    following.tick()
    assert newest(world).status == FINISHED


def test_orders_that_the_new_root_allows_stay(following: Following, world: World) -> None:
    bring(following, 1, 100)
    before = retained_messages(world)
    publish(world.home, lambda root: drafts.with_minimum(root, "other", 3))
    following.tick()
    assert retained_messages(world) == before


def test_device_that_goes_on_reporting_an_older_root_is_sent_the_next_one_again(
    following: Following, world: World
) -> None:
    """On a broker whose nodes do not share what they retain, it is on another node."""
    for minimum in (3, 4):
        publish(world.home, lambda root, least=minimum: drafts.with_minimum(root, "other", least))
        following.roots.look()
    following.roots.publish(world.store)
    behind = world.devices["d3"]

    def sent_after(seconds: float, version: int) -> list[str]:
        world.now += seconds
        behind.says = {"extra": {"root": version}}
        following.tick()
        world.hear([behind])
        world.acknowledges = False
        world.tick()
        world.acknowledges = True
        with world.store.read() as connection:
            return [message.topic for message in outbox.unsent(connection, 100)]

    following.tick()
    assert sent_after(0, 1) == []
    assert sent_after(MARGIN_SECONDS - 10, 1) == []
    assert sent_after(11, 1) == [topics.root(FLEET, 2)]
    assert sent_after(MARGIN_SECONDS, 1) == []
    assert sent_after(FIRST_PAUSE_SECONDS, 1) == [topics.root(FLEET, 2)]
    assert sent_after(0, 2) == []
    assert sent_after(MARGIN_SECONDS + 1, 2) == [topics.root(FLEET, 3)]
    assert sent_after(FIRST_PAUSE_SECONDS, 3) == []


def test_order_of_a_canary_by_name_is_signed_anew_beside_its_slots(
    following: Following, world: World
) -> None:
    bring(following, 1, 100)
    with world.store.write() as connection:
        state = log.folded(connection)
        rollout = list(state.rollouts.values())[-1]
        other = world.release(2)[TARGET]
        release = rollout.created.releases[TARGET].model_copy(
            update={
                "release": 2,
                "manifest": other.digest,
                "envelope": outbox.keep_blob(connection, other.envelope),
            }
        )
        sender = Sender(connection, world.issuer, state, rollout, Known({}), world.now)
        order = sender.send_alone(TARGET, release, slot(FLEET, "d3"), "d3")
        log.append(
            connection, rollout.id, world.now, [Reordered(settled=True, stage=None, orders=[order])]
        )
    assert world.ordered(world.devices["d3"])["manifest"] == other.digest  # type: ignore[index]
    publish(world.home, new_order_key(world.home))
    following.tick()
    require_all_valid(world)
    assert world.ordered(world.devices["d3"])["manifest"] == other.digest  # type: ignore[index]
    assert world.ordered(world.devices["d4"])["manifest"] != other.digest  # type: ignore[index]


def test_nothing_is_signed_while_the_order_key_is_not_the_new_roots(
    following: Following, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    bring(following, 1, 100)
    before = retained_messages(world)
    kept = (world.home.path / "order.key").read_bytes()
    change = new_order_key(world.home)
    made = (world.home.path / "order.key").read_bytes()
    (world.home.path / "order.key").write_bytes(kept)
    publish(world.home, change)
    world.start(2, quick(10, 100))
    following.tick()
    assert retained_messages(world) == before
    assert "no order is signed" in caplog.text
    assert "not one of the order keys" in world.issuer.trouble
    assert world.issuer.trouble.startswith("keys.order: ")
    (world.home.path / "order.key").write_bytes(made)
    following.tick()
    require_all_valid(world)
    assert set(retained_messages(world)) > set(before)


def test_wrong_root_changes_nothing_and_is_said_once(
    following: Following, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    bring(following, 1, 100)
    before = retained_messages(world)
    wrong = next_root(world.home, epoch(world.home), signers=root_keys(world.home)[:1])
    (world.home.path / "root.json").write_bytes(wrong)
    for _ in range(3):
        following.tick()
    assert retained_messages(world) == before
    assert caplog.text.count("root 1 stays in use") == 1
    assert world.issuer.root.version == 1


def test_right_root_that_was_copied_over_root_json_is_taken_and_kept(
    following: Following, world: World
) -> None:
    (world.home.path / "root.json").write_bytes(next_root(world.home))
    following.tick()
    assert world.issuer.root.version == 2
    following.roots.publish(world.store)
    with world.store.read() as connection:
        for version in (1, 2):
            held = outbox.holds(connection, topics.under(FLEET, "root", str(version)))
            assert held == (world.home.path / "roots" / f"{version}.json").read_bytes()


def test_roots_that_came_while_the_service_did_not_look_are_walked_one_by_one(
    following: Following, world: World
) -> None:
    for _ in range(3):
        publish(world.home)
    following.tick()
    assert sorted(following.roots.chain.envelopes) == [1, 2, 3, 4]


def test_restored_home_behind_the_broker_signs_nothing_and_names_the_command(
    following: Following, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(following, 1, 100)
    before = retained_messages(world)
    newer = next_root(world.home, new_order_key(world.home))
    following.roots.found(2, newer)
    world.start(2, quick(10, 100))
    following.tick()
    assert retained_messages(world) == before
    kept = world.home.path / "roots" / "2.found.json"
    assert f"modelwave root publish {kept}" in world.issuer.trouble
    monkeypatch.setenv("MODELWAVE_HOME", str(world.home.path))
    assert run(["root", "publish", str(kept), "--yes"]) == 0
    following.tick()
    assert world.issuer.trouble == ""
    require_all_valid(world)


def refuse_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, *_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(disk, "replace", full)


def test_new_root_that_cannot_be_kept_in_roots_is_used_and_kept_later(
    following: Following, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(following, 1, 100)
    data = next_root(world.home, new_order_key(world.home))
    (world.home.path / "root.json").write_bytes(data)
    with monkeypatch.context() as patched:
        refuse_writes(patched)
        assert following.roots.look()
        assert following.roots.chain.version == world.issuer.root.version == 2
        assert "2.json: No space left on device" in following.roots.chain.trouble
        assert world.issuer.trouble == ""
    following.tick()
    assert following.roots.chain.trouble == ""
    assert (world.home.path / "roots" / "2.json").read_bytes() == data
    require_all_valid(world)


def test_restored_home_signs_nothing_also_where_the_root_that_was_found_cannot_be_kept(
    following: Following, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = next_root(world.home, new_order_key(world.home))
    following.roots.found(2, newer)
    with monkeypatch.context() as patched:
        refuse_writes(patched)
        following.roots.look()
        assert "restored from a backup" in world.issuer.trouble
        assert "No space left on device" in world.issuer.trouble
    following.roots.look()
    assert (world.home.path / "roots" / "2.found.json").read_bytes() == newer
    assert "root publish" in world.issuer.trouble


def test_forged_root_at_the_broker_is_ignored(following: Following, world: World) -> None:
    forged = next_root(world.home, signers=root_keys(world.home)[:1])
    following.roots.found(2, forged)
    following.tick()
    assert world.issuer.trouble == ""
    assert not (world.home.path / "roots" / "2.found.json").exists()


def test_many_made_up_roots_at_the_broker_do_not_hide_the_next_one(
    following: Following, world: World
) -> None:
    for version in range(1000, 1200):
        following.roots.found(version, b"made up")
    following.roots.found(2, next_root(world.home))
    following.tick()
    assert "the broker has root 2" in world.issuer.trouble


def test_release_of_a_revoked_key_is_refused_until_it_is_signed_anew(
    following: Following,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("MODELWAVE_HOME", str(world.home.path))
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "a passphrase")
    world.shelve(1)
    world.shelve(2)
    bring(following, 1, 100)
    made = keys.create_key(world.home.offline / "release-2.key", None)
    old = world.home.root.roles.release.keyids
    publish(world.home, lambda r: drafts.rotated(r, "release", old, [made.public], None))
    following.tick()
    assert "modelwave release sign digits --key FILE" in caplog.text
    assert run(["rollout", "start", "digits", "2"]) == 1
    assert "`modelwave release sign digits 2 --key FILE`" in capsys.readouterr().err
    assert run(["release", "list"]) == 0
    assert "devices refuse digits 1, 2" in capsys.readouterr().out
    assert not is_valid(*retained_messages(world).values(), Home(world.home.path).root_document)
    signing = ["release", "sign", "digits", "--key", str(world.home.offline / "release-2.key")]
    assert run([*signing, "--yes"]) == 0
    assert "release 1 (v1) of digits for linux-cpu" in capsys.readouterr().out
    world.now += 61
    following.tick()
    require_all_valid(world)
    digest = world.release(1)[TARGET].digest
    assert world.ordered(world.devices["d0"])["manifest"] == digest  # type: ignore[index]
    assert run(["rollout", "start", "digits", "2", "--dry-run"]) == 0


def test_release_is_not_signed_by_a_key_that_is_no_release_key(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODELWAVE_HOME", str(world.home.path))
    world.shelve(1)
    place = world.home.releases / "digits" / "1" / f"{TARGET}.json"
    before = place.read_bytes()
    wrong = ["release", "sign", "digits", "1", "--yes", "--key", str(world.home.path / "order.key")]
    assert run(wrong) == 2
    assert "is not one of the release keys" in capsys.readouterr().err
    assert place.read_bytes() == before


def test_manifest_that_no_root_of_the_chain_trusts_stays_refused(world: World) -> None:
    world.release_key = key(world.home.offline / "root-1.key")
    world.shelve(1)
    with pytest.raises(TrustError, match="0 of the 1 needed manifest keys"):
        Releases(world.home).all()


def test_roots_in_use_must_stay_in_the_home(world: World) -> None:
    roots = RootsInUse(world.home, world.issuer)
    roots.look()
    (world.home.path / "root.json").write_bytes(
        keys.sign("root", keys.canonical(world.home.root_document), root_keys(world.home)[1:])
    )
    (world.home.path / "roots" / "1.json").unlink()
    roots.look()
    assert "root 1, which is in use, is not in this home any more" in world.issuer.trouble


# A new epoch: numbers begin anew.


def test_new_epoch_starts_sequences_at_one_and_signs_all_anew(
    following: Following, world: World
) -> None:
    bring(following, 1, 100)
    world.start(2, quick(10, 100))
    following.tick()
    before = {name: world.ordered(device) for name, device in world.devices.items()}
    publish(world.home, epoch(world.home), new_order_key(world.home))
    following.tick()
    require_all_valid(world)
    numbers = set()
    for name, device in world.devices.items():
        old, new = before[name], world.ordered(device)
        assert old
        assert new
        assert (new["epoch"], new["manifest"]) == (1, old["manifest"])
        numbers.add(new["seq"])
    assert min(numbers) == 1
    world.answer("SUCCEEDED", world.devices.values())
    following.tick()
    world.answer("SUCCEEDED", world.devices.values())
    following.tick()
    assert newest(world).status == FINISHED
    require_all_valid(world)


def test_answers_of_the_epoch_before_count_for_no_order_of_the_new_one(
    following: Following, world: World
) -> None:
    world.start(1, quick(100))
    following.tick()
    old = {name: world.ordered(device) for name, device in world.devices.items()}
    publish(world.home, epoch(world.home))
    following.tick()
    device = world.devices["d0"]
    new = world.ordered(device)
    assert new
    assert (new["epoch"], new["seq"]) == (1, 1)
    device.take(old["d0"] | {"seq": 1}, "ROLLED_BACK")  # type: ignore[operator]
    world.hear([device])
    world.answer("SUCCEEDED", [world.devices["d1"]])
    answers = newest(world).stages[0].answers
    assert (answers["d1"].outcome, answers["d1"].number) == ("SUCCEEDED", (1, 1))
    assert answers["d0"].number == (0, 1)


def test_devices_of_the_epoch_before_are_behind_however_high_their_numbers(
    following: Following, world: World
) -> None:
    bring(following, 1, 100)
    poisoned = world.devices["d5"]
    poisoned.models["digits"]["seq"] = 2**52
    world.hear([poisoned])
    publish(world.home, epoch(world.home))
    following.tick()
    with world.store.read() as connection:
        assert ahead.compare(connection, "digits", 1).ahead == []
    world.start(2, quick(10, 100))
    following.tick()
    order = world.ordered(poisoned)
    assert order
    assert (order["epoch"], order["seq"] < 10) == (1, True)


def test_forged_number_at_the_broker_is_over_with_a_new_epoch(
    following: Following, world: World
) -> None:
    bring(following, 1, 100)
    with world.store.write() as connection:
        log.append(connection, FLEET_LOG, world.now, [FoundNewer(model="digits", seq=2**40)])
    with world.store.read() as connection:
        found = recover.of_model(connection, "digits", 0)
    with pytest.raises(OperatorError, match="no device takes such a step"):
        recover.floor_for(found, None)
    publish(world.home, epoch(world.home), new_order_key(world.home))
    following.tick()
    assert world.state().doubt("digits") == ""
    with world.store.read() as connection:
        assert ahead.not_surpassed(connection, 1) == {}
    require_all_valid(world)


def test_floor_of_the_epoch_before_counts_for_nothing(following: Following, world: World) -> None:
    bring(following, 1, 100)
    recover.recover(world.store, "digits", 0, 5000, world.now)
    following.tick()
    publish(world.home, epoch(world.home))
    following.tick()
    order = world.ordered(world.devices["d0"])
    assert order
    assert (order["epoch"], order["seq"]) == (1, 1)
    assert recover.recover(world.store, "digits", 1, 70, world.now) == 70
    following.tick()
    order = world.ordered(world.devices["d0"])
    assert order
    assert (order["epoch"], order["seq"]) == (1, 71)


def test_new_service_goes_on_in_the_epoch(following: Following, world: World) -> None:
    bring(following, 1, 100)
    publish(world.home, epoch(world.home))
    following.tick()
    world.ticker = Ticker(world.store, world.issuer)
    following.tick()
    world.start(2, quick(100))
    following.tick()
    order = world.ordered(world.devices["d0"])
    assert order
    assert (order["epoch"], order["seq"]) == (1, 2)


# What is said, and backups.


def test_wrong_root_is_said_in_status_and_in_fleet(
    following: Following,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MODELWAVE_HOME", str(world.home.path))
    bring(following, 1, 100)
    (world.home.path / "root.json").write_bytes(
        next_root(world.home, signers=root_keys(world.home)[:1])
    )
    for command in (["fleet", "status"], ["rollout", "status"]):
        assert run(command) == 0
        assert "root 1 stays in use" in capsys.readouterr().out


def test_root_that_the_service_found_at_the_broker_is_said_in_fleet(
    following: Following,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MODELWAVE_HOME", str(world.home.path))
    following.roots.found(2, next_root(world.home))
    following.tick()
    assert run(["fleet", "status"]) == 0
    found = world.home.path / "roots" / "2.found.json"
    assert f"`modelwave root publish {found}` catches up" in capsys.readouterr().out
    assert run(["root", "publish", str(found), "--yes"]) == 0
    assert not found.exists()


def test_chain_is_part_of_a_backup(
    following: Following, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELWAVE_HOME", str(world.home.path))
    publish(world.home)
    publish(world.home, epoch(world.home))
    following.tick()
    assert run(["backup", str(tmp_path / "backup.tar")]) == 0
    again = tmp_path / "again"
    assert run(["--home", str(again), "restore", str(tmp_path / "backup.tar")]) == 0
    assert Home(again).chain.envelopes == Home(world.home.path).chain.envelopes
    assert (Home(again).root.version, Home(again).root.epoch) == (3, 1)


def test_signatures_of_another_machine_are_added_by_the_manifest_alone(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MODELWAVE_HOME", str(world.home.path))
    world.shelve(1)
    for file in world.release(1)[TARGET].manifest.files:
        world.home.files.mkdir(exist_ok=True)
        (world.home.files / file.sha256).write_bytes(b"here")
    made = keys.create_key(tmp_path / "release-2.key", None)
    old = world.home.root.roles.release.keyids
    publish(world.home, lambda r: drafts.rotated(r, "release", old, [made.public], None))
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(world.home.path, elsewhere)
    signing = ["release", "sign", "digits", "--key", str(tmp_path / "release-2.key"), "--yes"]
    assert run(["--home", str(elsewhere), *signing]) == 0
    place = elsewhere / "releases" / "digits" / "1" / f"{TARGET}.json"
    assert Releases(Home(world.home.path)).unsound() == {"digits": [1]}
    assert run(["release", "add", str(place)]) == 0
    assert "added release 1" in capsys.readouterr().out
    assert Releases(Home(world.home.path)).unsound() == {}
    assert run(["release", "add", str(place)]) == 0
    assert "already in this home" in capsys.readouterr().out


def test_minimum_above_what_runs_is_warned_of(
    following: Following,
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MODELWAVE_HOME", str(world.home.path))
    monkeypatch.chdir(tmp_path)
    bring(following, 1, 100)
    assert run(["key", "minimum", "digits", "2"]) == 0
    assert "release 1 of digits, which runs on linux-cpu, is below 2" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["rotate", "revoke", "epoch", "minimum", "hosts", "expiry"])
def test_help_of_each_draft_command_names_its_options(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["key", command, "--help"]) == 0
    shown = capsys.readouterr().out
    for option in ("--key", "--draft", "--out", "--root", "--yes", "--json"):
        assert option in shown


def test_draft_with_an_expiry_that_passed_is_warned_of() -> None:
    old = {
        "fleet": "demo",
        "epoch": 0,
        "keys": {},
        "roles": {r: {"keyids": ["a", "b"], "threshold": 2} for r in ("root", "release", "order")},
        "minimum": {"digits": 4},
    }
    said = changes.warnings(old, old | {"expires": 10, "minimum": {}}, now=20.0)
    assert "it expired at 1970-01-01 00:00 UTC" in said[0]
    assert "the minimum of digits is lowered" in said[1]
    assert "all root keys must sign" in said[2]


def test_orders_of_a_root_that_the_home_does_not_have_yet_stay_at_the_broker(
    following: Following, world: World
) -> None:
    bring(following, 1, 100)
    topic = next(iter(retained_messages(world)))
    with world.store.write() as connection:
        sent = outbox.unsent(connection, 100)
        outbox.mark(connection, [(each.topic, each.version) for each in sent])

    def due(root: bytes) -> list[str]:
        found = {
            topics.under(FLEET, "root", "2"): differences.seen(root, "1" * 64),
            topic: differences.seen(b"an order of the next epoch", "2" * 64),
        }
        with world.store.write() as connection:
            return differences.judge(connection, world.issuer.document, found).due

    assert due(next_root(world.home, signers=root_keys(world.home)[:1])) == [topic]
    assert due(next_root(world.home, epoch(world.home))) == []


def test_revert_to_a_release_below_the_minimum_is_refused(
    following: Following,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MODELWAVE_HOME", str(world.home.path))
    bring(following, 1, 100)
    bring(following, 2, 100)
    publish(world.home, lambda root: drafts.with_minimum(root, "digits", 2))
    assert run(["rollout", "revert", "2"]) == 2
    said = capsys.readouterr().err
    assert "goes back to release 1 of digits, which is below 2" in said
    assert "Start a rollout of a release from 2 on" in said


def test_log_says_which_root_is_in_use(
    following: Following, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    publish(world.home)
    following.tick()
    assert "root 2 of this home is in use, and is published" in caplog.text
