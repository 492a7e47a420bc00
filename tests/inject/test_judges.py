"""Tests that those who judge a disturbed life see what is wrong with it."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from modelwave_agent.journal import Journal
from modelwave_agent.record import new_record
from modelwave_controller.broker.messages import Message
from modelwave_shared import topics
from modelwave_shared.words import SUCCEEDED
from tests import signing
from tests.inject import service
from tests.inject.calls import KILL, Point
from tests.inject.ear import Ear
from tests.inject.lives import End
from tests.inject.surroundings import GOOD, MODEL, Device, release

RELEASE = release(1, GOOD, b"a model ")
ERROR, KILLED = Point("write", 1, "EIO"), Point("write", 1, KILL)


def report(boot: int, n: int, outcome: str = "", seq: int = 1) -> dict[str, Any]:
    told = {"seq": seq, "outcome": outcome, "sha256": RELEASE.digest}
    return {"boot": boot, "n": n, "models": {MODEL: told}}


@pytest.fixture
def device(tmp_path: Path) -> Device:
    """One on which order 1 has SUCCEEDED."""
    made = Device("pi-1", tmp_path)
    folder = made.state / MODEL
    folder.mkdir(parents=True)
    files = RELEASE.document["files"]
    for file in files:
        (folder / f"a.{file['role']}").write_bytes(RELEASE.files[file["sha256"]])
    bank = {"manifest": RELEASE.digest, "files": files, "confirmed": True}
    order = {"epoch": 0, "seq": 1, "sha256": ""}
    journal = Journal(str(folder), "journal")
    journal.read()
    journal.write(new_record() | {"banks": [bank, None], "order": order, "outcome": SUCCEEDED})
    return made


@pytest.mark.parametrize(("boot", "n"), [(2, 5), (2, 4), (1, 9)])
def test_a_number_that_is_not_above_the_last_one_is_heard(boot: int, n: int) -> None:
    ear = Ear(lambda seq, sha256: "")
    for number in ((2, 5), (boot, n)):
        ear(report(*number))
    assert len(ear.faults) == 1


def test_what_the_journal_says_is_true(device: Device) -> None:
    ear = Ear(device.false)
    ear(report(1, 1, SUCCEEDED))
    assert ear.faults == []


def test_a_success_that_is_not_in_the_journal_is_false(device: Device) -> None:
    ear = Ear(device.false)
    ear(report(1, 1, SUCCEEDED, seq=2))
    assert ear.faults == ["SUCCEEDED was told, and that is not in the journal"]
    assert device.false(1, signing.sha(b"another"))


def test_a_damaged_model_is_seen(device: Device) -> None:
    path = device.state / MODEL / "a.model"
    path.write_bytes(path.read_bytes()[:-1])
    assert (
        device.problem_of(device.record()) == "the model of the live model is not what was signed"
    )


@pytest.mark.parametrize(
    ("code", "said", "point"),
    [
        (0, "Traceback (most recent call last):\nOSError\n", ERROR),
        (1, "OSError: [Errno 5]\n", ERROR),
        (-9, "", ERROR),
        (-11, "", KILLED),
        (2, "modelwave-agent: state: no\n", None),
    ],
)
def test_an_end_that_is_not_in_order_is_seen(code: int, said: str, point: Point | None) -> None:
    assert End(code, said).problems("modelwave-agent", point)


@pytest.mark.parametrize(
    ("code", "said", "point"),
    [(0, "", None), (-9, "", KILLED), (2, "modelwave-agent: state: no\n", ERROR)],
)
def test_an_end_that_is_in_order_is_none(code: int, said: str, point: Point | None) -> None:
    assert End(code, said).problems("modelwave-agent", point) == []


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = tmp_path / "database"
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE blobs (sha256 TEXT)")
        made.execute("INSERT INTO blobs VALUES (?)", [signing.sha(b"known")])
        made.commit()
    return str(path)


async def _published(database: str, payload: bytes) -> list[str]:
    broker = service.Witness()
    broker.database = database
    topic = topics.desired_all(service.FLEET, "linux-cpu", "digits")
    broker.take_in(Message(topic, payload, 1), retain=True)
    return broker.unknown


@pytest.mark.parametrize(("payload", "faults"), [(b"known", 0), (b"never stored", 1)])
def test_an_order_that_the_database_does_not_know_is_seen(
    database: str, payload: bytes, faults: int
) -> None:
    assert len(asyncio.run(_published(database, payload))) == faults
