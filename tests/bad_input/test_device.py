"""Each bad message comes to a whole agent, on both Pythons. Nothing changes: the model that runs,
the floor and every file are as before, the memory is free again, the reason is in the device's
report once, however often the message comes, and the next good message is taken."""

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bad_input import fleet, running
from tests.bad_input.case import HEARTBEAT, ROOT, Case
from tests.bad_input.running import CASES, cases_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

WARM = 20  # cases until what is kept for good is there: code, and the digests of what was refused
# What may be there after a case besides: a report, and a message that a collector which looks at
# the stack takes for one in use. And what may be left after all cases. Bytes; on CPython, blocks.
SLACK = {"cpython": 500, "micropython": 2048}
LEFT = {"cpython": 200, "micropython": 1024}
RUNS: dict[str, Callable[[Path], list[dict[str, Any]]]] = {
    "cpython": running.on_cpython,
    "micropython": running.on_micropython,
}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[dict[str, Any]]]:
    """Gives what the device on this Python has printed. It runs once for all workers of pytest."""
    known: dict[str, list[dict[str, Any]]] = {}

    def give(python: str) -> list[dict[str, Any]]:
        if python not in known:
            known[python] = json.loads(_once(tmp_path_factory, python))
        return known[python]

    return give


def _once(factory: pytest.TempPathFactory, python: str) -> str:
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    shared = factory.getbasetemp().parent if run else factory.getbasetemp()
    path = shared / f"bad-input-{python}-{run or 'alone'}.json"
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        found = file.read()
        if not found:
            folder = factory.mktemp(f"bad-input-{python}")
            running.write(folder, python, running.cases_for(python))
            found = json.dumps(RUNS[python](folder))
            file.write(found)
        return found


@pytest.mark.parametrize(
    ("python", "case"),
    [
        pytest.param(python, case, id=f"{python}-{case.name}")
        for python in RUNS
        for case in cases_for(python)
    ],
)
def test_bad_message_changes_nothing(
    shown: Callable[[str], list[dict[str, Any]]], python: str, case: Case
) -> None:
    told = shown(python)[cases_for(python).index(case)]
    assert told["changed"] == []
    assert (told["reports"], told["again"]) == (1 if case.says else 0, 0)
    assert told["state"] == "idle"
    assert told["outcome"] == (case.outcome or "SUCCEEDED")
    reason = told["reason"] if case.outcome else told["refused"]
    assert reason.startswith(case.says)
    assert bool(reason) == bool(case.says)
    assert reason.isascii()
    assert reason.isprintable()
    assert len(reason) <= 200
    assert told["good"]


@pytest.mark.parametrize("python", RUNS)
def test_memory_is_free_again_after_each_bad_message_and_after_all(
    shown: Callable[[str], list[dict[str, Any]]], python: str
) -> None:
    cases = cases_for(python)
    heaps = [told["heap"] for told in shown(python)[: len(cases)]]
    base = max(heaps[WARM - 5 : WARM])
    for case, heap in zip(cases[WARM:], heaps[WARM:], strict=True):
        longest = max(len(message) for message in case.messages(fleet.FIRST_FLOOR))
        assert heap <= base + SLACK[python] + longest, case.name
    assert min(heaps[-5:]) <= base + LEFT[python]


@pytest.mark.parametrize("python", RUNS)
def test_after_all_of_them_the_next_root_and_a_new_release_are_taken(
    shown: Callable[[str], list[dict[str, Any]]], python: str
) -> None:
    third, last = shown(python)[-2:]
    assert (third["end"], third["live"], third["refused"]) == ("third-root", 5, "")
    assert (last["end"], last["live"], last["refused"]) == ("last", 6, "")


@pytest.mark.parametrize("python", RUNS)
def test_model_with_another_models_golden_set_is_rolled_back_and_nothing_else(
    shown: Callable[[str], list[dict[str, Any]]], python: str
) -> None:
    mixed = shown(python)[-3]
    assert (mixed["end"], mixed["live"], mixed["refused"]) == ("mixed", 5, "")
    assert mixed["reason"].startswith("golden set: 16 of 16 outputs off")


def test_messages_come_on_every_kind_of_topic() -> None:
    assert {case.topic.split("/")[3] for case in CASES} == {"desired", "root", "heartbeat"}
    assert len({case.name for case in CASES}) == len(CASES)
    assert sum(case.topic == ROOT for case in CASES) > 20
    assert sum(case.topic == HEARTBEAT for case in CASES) > 10
