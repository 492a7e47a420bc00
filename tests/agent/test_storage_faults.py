"""Faults of the medium that may pass: what is there is never forgotten for them, nothing is served
before it was read, and when they have passed the device goes on by itself."""

import asyncio
import errno
import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from modelwave_agent import download
from modelwave_agent import journal as journals
from modelwave_agent.host import HostAgent
from tests import signing
from tests.agent import fakes, host_world
from tests.agent.fakes import TOPIC, World, live, settled, world_with_live
from tests.agent.host_places import refused_port
from tests.agent.host_world import Digits
from tests.agent.test_host_agent import PICTURE, V2_SCORES, close, run

ONE = signing.Release(1, b"model one " * 300)
TWO = signing.Release(2, b"model two " * 300)
BAD = signing.Release(3, b"BAD model " * 300)
PASSING = [errno.EIO, errno.EMFILE, errno.EACCES, errno.ENOMEM]


@pytest.fixture
def world(tmp_path):
    """One in which release 1 is live, in bank b, and no order is retained."""
    made = world_with_live(tmp_path, ONE, TWO, BAD)
    made.retained.clear()
    made.served.clear()
    made.fetched = 0
    return made


def unreadable(monkeypatch, number, times=10**6, bank="b"):
    """The files of `bank` cannot be hashed, so often. Returns what was tried."""
    tried = []
    right = download.hash_file

    async def fails(path, digest, breathe):
        if os.path.basename(path).startswith(bank):
            tried.append(path)
            if len(tried) <= times:
                raise OSError(number, os.strerror(number))
        await right(path, digest, breathe)

    monkeypatch.setattr(download, "hash_file", fails)
    return tried


@pytest.mark.parametrize("number", PASSING)
def test_live_model_that_cannot_be_read_at_boot_is_kept_and_served_once_it_was(
    world, monkeypatch, number
):
    tried = unreadable(monkeypatch, number, times=3)
    told, unverified = [], []

    def done(update):
        told.extend(report["refused"] for report in world.reports)
        if len(tried) < 4:
            unverified.append(update.live())
        return update.live() and update.work.progress.served

    assert asyncio.run(live(world, done))
    assert set(unverified) == {None}
    assert any(f"bank b cannot be read: [Errno {number}]" in text for text in told)
    assert world.served == [1]
    assert world.durable()["banks"][1]["release"] == 1
    assert world.fetched == 0
    assert world.reports[-1]["refused"] == "" or len(world.reports) == 1


def test_model_that_can_never_be_read_again_gives_way_to_a_new_order(world, monkeypatch):
    unreadable(monkeypatch, errno.EIO)
    world.retained[TOPIC] = signing.order(TWO, 2)
    assert asyncio.run(live(world, settled(world, 2)))
    assert (world.last_report()["outcome"], world.served) == ("SUCCEEDED", [2])
    assert world.reports[-1]["refused"] == ""
    assert world.faults == []


def test_model_that_can_never_be_read_again_comes_anew_when_it_is_ordered_again(world, monkeypatch):
    unreadable(monkeypatch, errno.EIO)
    world.retained[TOPIC] = signing.order(ONE, 2)
    assert asyncio.run(live(world, settled(world, 2)))
    assert (world.last_report()["outcome"], world.served) == ("SUCCEEDED", [1])
    assert world.durable()["live"] == 0
    assert world.fetched > 0


def test_roll_back_to_a_model_that_cannot_be_read_yet_serves_it_once_it_was(world, monkeypatch):
    tried = unreadable(monkeypatch, errno.EIO, times=3)
    world.retained[TOPIC] = signing.order(BAD, 2)
    too_early = []

    def done(update):
        if len(tried) < 4:
            too_early.append(bool(world.served or update.live()))
        return settled(world, 2)(update) and update.live() and world.served

    assert asyncio.run(live(world, done))
    assert (world.last_report()["outcome"], set(world.served)) == ("ROLLED_BACK", {1})
    assert not any(too_early)


@pytest.mark.parametrize("found", ["nothing", "more", "without an end"])
def test_file_of_another_length_is_damage_and_not_read(world, found):
    path = f"{world.folder}/b.model"
    size = os.path.getsize(path)
    if found == "more":
        size += 5
        world.medium.synced["b.model"] += b"added"
        with open(path, "ab") as file:
            file.write(b"added")
    else:
        size = 0
        os.remove(path)
        world.medium.synced.pop("b.model")
    if found == "without an end":
        os.symlink("/dev/zero", path)
    told = []

    def done(update):
        told.extend(report["models"]["digits"]["reason"] for report in world.reports)
        return told and told[-1]

    assert asyncio.run(live(world, done))
    assert told[-1].startswith(f"model of bank b: it has {size} bytes, ")


@pytest.mark.parametrize("number", PASSING)
def test_journal_that_cannot_be_read_at_boot_is_read_later(world, monkeypatch, number):
    calls = []
    right = fakes.FakeJournal.read

    def read(journal, key):
        calls.append(1)
        if len(calls) <= 3:
            raise OSError(number, os.strerror(number))
        return right(journal, key)

    monkeypatch.setattr(fakes.FakeJournal, "read", read)
    world.retained[TOPIC] = signing.order(TWO, 2)
    assert asyncio.run(live(world, settled(world, 2)))
    assert world.served == [1, 2]
    assert world.durable()["banks"][1]["release"] == 1


def unwritable(monkeypatch, name, number=errno.EROFS):
    """The files of the journal `name` cannot be written until the returned switch is set."""
    mended = threading.Event()
    right = journals.Journal.write

    def write(journal, record):
        if not mended.is_set() and os.path.basename(journal.paths[0]).startswith(name):
            raise OSError(number, os.strerror(number))
        return right(journal, record)

    monkeypatch.setattr(journals.Journal, "write", write)
    return mended


def test_order_that_could_not_be_journalled_is_taken_when_it_can_be_without_a_new_connection(
    world, monkeypatch
):
    mended = unwritable(monkeypatch, "digits")
    connects = []
    right = fakes.FakeLink.connect

    async def connect(link, *will):
        connects.append(1)
        await right(link, *will)

    monkeypatch.setattr(fakes.FakeLink, "connect", connect)
    world.retained[TOPIC] = signing.order(TWO, 2)
    told = []

    def done(update):
        told.extend(report["refused"] for report in world.reports if report["refused"])
        if told and len(world.reports) > 1:
            mended.set()
        return settled(world, 2)(update)

    assert asyncio.run(live(world, done))
    assert told[0].startswith("journal: [Errno 30]")
    assert world.reports[-1]["refused"] == ""
    assert (world.last_report()["outcome"], connects) == ("SUCCEEDED", [1])


def test_confirmed_model_serves_after_a_reset_on_trial_that_cannot_be_journalled(
    world, monkeypatch
):
    world.retained[TOPIC] = signing.order(TWO, 2, trial={"seconds": 0, "inferences": 5})
    assert asyncio.run(live(world, lambda update: world.served == [1, 2]))
    world.served.clear()
    mended = unwritable(monkeypatch, "digits")

    def done(update):
        if world.served and not mended.is_set():
            assert update.live().release == 1
            mended.set()
        return world.served == [1, 2]

    assert asyncio.run(live(world, done))
    assert world.faults == [] or all("journal says otherwise" in text for text in world.faults)


def test_device_whose_resets_cannot_be_counted_starts_and_says_so(world, monkeypatch):
    before = world.boot()[0].numbering.boot
    mended = unwritable(monkeypatch, "device")
    told = []

    def done(update):
        told.extend((report["refused"], report["boot"], report["n"]) for report in world.reports)
        if told and told[0][0]:
            mended.set()
        return told and not told[-1][0]

    assert asyncio.run(live(world, done))
    refused, boot, number = told[0]
    assert refused.startswith("state: [Errno 30]")
    assert (boot, number > world.wall) == (before, True)
    assert world.served == [1]
    assert journals.Journal(world.folder, "device").read()["boot"] == before + 1


@pytest.mark.parametrize("banks", [True, False])
def test_journal_without_a_whole_record_is_said_for_as_long_as_the_device_lives(world, banks):
    for number in (0, 1):
        name = f"digits.{number}"
        world.medium.synced[name] = b"x" * journals.MAX_JOURNAL_BYTES
        with open(f"{world.folder}/{name}", "wb") as file:
            file.write(world.medium.synced[name])
    if not banks:
        for name in ("b.model", "b.golden"):
            os.remove(f"{world.folder}/{name}")
            del world.medium.synced[name]
    world.retained[TOPIC] = signing.order(TWO, 2)
    assert asyncio.run(live(world, settled(world, 2)))
    told = "journal: no whole record was found, this device starts from nothing"
    told += "; the files in bank b are not used" * banks
    assert world.reports[-1]["refused"] == told
    assert world.last_report()["outcome"] == "SUCCEEDED"


@pytest.mark.parametrize(("one", "other"), [("digits", "device"), ("device", "digits")])
def test_journal_with_the_files_of_another_one_is_none(world, one, other):
    """A FAT whose table is damaged gives such files. The device must start all the same."""
    for number in (0, 1):
        data = Path(f"{world.folder}/{other}.{number}").read_bytes()
        Path(f"{world.folder}/{one}.{number}").write_bytes(data)
        world.medium.synced[f"{one}.{number}"] = data
    world.retained[TOPIC] = signing.order(TWO, 2)
    assert asyncio.run(live(world, settled(world, 2)))
    assert world.last_report()["outcome"] == "SUCCEEDED"
    assert world.faults == []


def test_journal_whose_files_are_lost_beside_a_bank_is_said(world):
    for number in (0, 1):
        os.remove(f"{world.folder}/digits.{number}")
        del world.medium.synced[f"digits.{number}"]
    assert asyncio.run(live(world, lambda _: world.reports))
    assert "the files in bank b are not used" in world.reports[-1]["refused"]


def test_fresh_device_has_lost_nothing(tmp_path):
    made = World(tmp_path)
    assert asyncio.run(live(made, lambda _: made.reports))
    assert made.reports[-1]["refused"] == ""


def test_state_folder_that_is_deleted_under_a_running_agent_is_said(world):
    def done(update):
        if world.served and world.reports and os.path.exists(world.folder):
            shutil.rmtree(world.folder)
            world.reports.clear()
        return world.reports and world.reports[-1]["refused"]

    asyncio.run(gone(world, done))
    assert world.reports[-1]["refused"].startswith("journal: [Errno 2] No such file")


async def gone(world, done):
    """A life whose end takes nothing back, as there is nothing any more."""
    agent, update = world.boot()
    assert await fakes.lived(agent, lambda: done(update))


def read_only(monkeypatch, folder):
    """Nothing in `folder` can be written, made or removed inside the context, as on a medium that
    is mounted read-only."""
    folder = str(folder)

    def refuse(path):
        if str(path).startswith(folder):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    def guarded(owner, name, writes):
        right = getattr(owner, name)

        def call(path, *arguments, **options):
            if writes(*arguments, **options):
                refuse(path)
            return right(path, *arguments, **options)

        monkeypatch.setattr(owner, name, call)

    def always(*_arguments, **_options):
        return True

    guarded(os, "mkdir", always)
    guarded(os, "remove", always)
    guarded(os, "open", lambda flags, *_, **__: flags & (os.O_RDWR | os.O_WRONLY | os.O_CREAT))
    guarded(journals, "open", lambda mode="r", *_, **__: set(mode) & set("wa+"))
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and access(path, mode))


@pytest.fixture
def journals_open(monkeypatch):
    monkeypatch.setattr(journals, "open", open, raising=False)


@pytest.mark.slow
@pytest.mark.parametrize("lock", [True, False])
def test_agent_on_a_read_only_medium_serves_and_says_so_and_takes_orders_when_it_can_write(
    tmp_path, monkeypatch, caplog, journals_open, lock
):
    pytest.importorskip("numpy")
    monkeypatch.setattr("modelwave_agent.runner.AGAIN_SECONDS", 0.1)
    monkeypatch.setattr("modelwave_agent.ledger.JOURNAL_PAUSE_SECONDS", (0.01,))

    async def main(made):
        config = made.toml()
        with HostAgent.from_config(config):
            await made.order(Digits(2, "v2"))
            await made.outcome()
        if not lock:
            (tmp_path / "state-pi-1/agent.lock").unlink()
        with monkeypatch.context() as mounted:
            read_only(mounted, tmp_path / "state-pi-1")
            with HostAgent.from_config(config) as agent:
                assert close(await asyncio.to_thread(run_live, agent), V2_SCORES)
                report = await made.told("reported", lambda report: report["refused"])
                assert report["refused"].startswith("state: [Errno 30] Read-only file system")
                await made.order(Digits(1, "v1"))
                if "journal:" not in report["refused"]:  # the agent may have looked before
                    report = await made.told(
                        "reported", lambda report: "journal:" in report["refused"]
                    )
                assert report["models"]["digits"]["release"] == 2
                mounted.undo()
                report = await made.told("reported", lambda report: healed(report, seq=2))
                assert report["models"]["digits"]["release"] == 1
                assert agent.live("digits").release == 1
        warnings = [one.message for one in caplog.records if one.levelname == "WARNING"]
        assert any("no order is taken until it can be written" in text for text in warnings)

    run(tmp_path, main)


def healed(report, seq):
    state = report["models"]["digits"]
    return (state["seq"], state["outcome"], report["refused"]) == (seq, "SUCCEEDED", "")


def run_live(agent):
    agent.wait_live("digits", 20)
    return agent.run("digits", PICTURE)


@pytest.mark.slow
def test_fresh_device_on_a_read_only_medium_goes_on(tmp_path, monkeypatch, journals_open):
    with refused_port() as port:
        config = host_world.World(tmp_path, port, 1, None, {}).toml()
        (tmp_path / "state-pi-1").mkdir()
        read_only(monkeypatch, tmp_path / "state-pi-1")
        with HostAgent.from_config(config) as agent:
            with pytest.raises(TimeoutError, match="no release is installed yet"):
                agent.wait_live("digits", 0.1)
            agent.check()
        report = json.loads(json.dumps(agent._agent.state()))
        assert report["refused"].startswith("state: ")
