"""Tests a gateway that somebody has taken over, as the controller sees it.

He has the users of its boards at the broker, so he may write whatever he likes on their topics; he
has what they sent before; and he has none of their report keys. What he hands to the boards is in
tests/agent/test_hostile_gateway.py, and which topics those users have in test_broker_access.py.
"""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rollout_commands import Run, commands
from rollout_world import FLEET, TARGET, World, newest, quick, seen
from test_proven import MASTER, NamedDevice, sealed

from modelwave_controller.operations.device_entries import SILENT_SECONDS
from modelwave_controller.storage import enrolled
from modelwave_controller.storage.enrolled import Enrolled
from modelwave_controller.storage.proven import OFF, REQUIRE, SHOW, Policy
from modelwave_shared import proofs, topics

GATEWAY, BOARDS = "gw-1", ("b1", "b2", "b3")


class Board(NamedDevice):
    """It is behind the gateway, and keeps what it has sent."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.says = {"extra": {"via": GATEWAY}}
        self.sent: list[bytes] = []

    def report(self, **changes: Any) -> bytes:
        self.sent.append(super().report(**changes))
        return self.sent[-1]


class Taken(World):
    """A fleet with one gateway, which is taken over. `proof`: of [devices] in controller.toml."""

    def __init__(self, folder: Path, proof: str) -> None:
        super().__init__(folder)
        self.now = time.time()
        settings = self.home.path / "controller.toml"
        text = settings.read_text().replace('proof = "off"', f'proof = "{proof}"')
        settings.write_text(text)
        self.writer.policy = Policy(proof, MASTER)
        self.boards = [Board(name) for name in BOARDS]
        self.devices = {board.name: board for board in self.boards}
        with self.store.write() as connection:
            rows = [Enrolled(name, TARGET, 1, "", 1.0, 0, 0) for name in BOARDS]
            enrolled.put(connection, rows)
        self.hear(self.boards)
        self.present(b"online", GATEWAY, *BOARDS)
        self.tick()

    def present(self, word: bytes, *names: str) -> None:
        for name in names:
            self.inbox.put(topics.presence(FLEET, name), word)
        self.hear([])

    def forge(self, board: str, payload: bytes, topic: Any = topics.reported) -> None:
        """The gateway writes this in the name of a board."""
        self.inbox.put(topic(FLEET, board), payload)
        self.hear([])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Taken]:
    with closing(Taken(tmp_path, REQUIRE)) as made:
        yield made


@pytest.fixture
def run(world: Taken, capsys: pytest.CaptureFixture[str]) -> Run:
    return commands(world, capsys)


def entry(run: Run, board: str) -> Any:
    return run("device", "show", board, "--json").json()


def answers(world: Taken, board: str, outcome: str) -> dict[str, Any]:
    """The models that a report says which answers to the board's order like this."""
    liar = NamedDevice(board)
    order = world.ordered(world.devices[board])
    assert order
    liar.take(order, outcome)
    return liar.models


def changed(payload: bytes, **changes: Any) -> bytes:
    """A report of a board in which the gateway has changed something, with the board's proof."""
    document, proof = proofs.split(payload)
    return json.dumps(json.loads(document) | changes).encode() + b"\n" + proof


FORGERIES = {
    "without a proof": lambda world, its: json.dumps(json.loads(proofs.split(its)[0])).encode(),
    "with a key of its own": lambda world, its: sealed("b1", proofs.split(its)[0], key=bytes(32)),
    "with another board's proof": lambda world, its: (
        proofs.split(its)[0] + b"\n" + proofs.split(world.devices["b2"].sent[-1])[1]
    ),
    "another board's report": lambda world, _: world.devices["b2"].sent[-1],
    "changed": lambda _, its: changed(its, agent="forged"),
    "with another gateway": lambda _, its: changed(its, extra={"via": "gw-2"}),
    "without its gateway": lambda _, its: changed(its, extra={}),
    "with a changed proof": lambda _, its: its[:-1] + (b"0" if its[-1:] != b"0" else b"1"),
}


def test_report_that_a_gateway_has_forged_changes_nothing_and_is_shown(
    world: Taken, run: Run
) -> None:
    before = entry(run, "b1")
    board = world.devices["b1"]
    assert isinstance(board, Board)
    for number, (case, forged) in enumerate(FORGERIES.items(), 1):
        world.forge("b1", forged(world, NamedDevice.report(board, agent="newer")))
        after = entry(run, "b1")
        for name in ("agent", "n", "via", "models", "seen_at", "stale", "clones"):
            assert after[name] == before[name], (case, name)
        assert after["unproven"]["count"] == number, case
    assert f"{len(FORGERIES)} messages not proven" in run("device", "list", "--trouble").out
    assert "does not count" in run("fleet", "status").out


def test_report_that_a_gateway_repeats_is_refused_as_a_replay(world: Taken, run: Run) -> None:
    board = world.devices["b1"]
    assert isinstance(board, Board)
    for number in range(3):
        world.forge("b1", board.report(agent=f"version {number}"))
    for old in board.sent[:-1]:
        world.forge("b1", old)
    found = entry(run, "b1")
    assert (found["agent"], found["unproven"]["count"]) == ("version 2", 3)
    assert "a replay" in found["unproven"]["reason"]
    assert "a replay" in run("device", "list", "--trouble").out


def test_windows_that_a_gateway_forges_or_repeats_count_no_inference(
    world: Taken, run: Run
) -> None:
    board = world.devices["b1"]
    assert isinstance(board, Board)
    window = sealed("b1", board.window(), topics.metrics)
    own_key = sealed("b1", board.window(failures=100), topics.metrics, key=bytes(32))
    for payload in (window, window, board.window(failures=100), own_key):
        world.forge("b1", payload, topics.metrics)
    [sums] = run("fleet", "status", "--json").json()["metrics"]
    assert (sums["inferences"], sums["failures"]) == (100, 1)


@pytest.mark.parametrize("outcome", ["SUCCEEDED", "ROLLED_BACK"])
def test_answers_that_a_gateway_forges_open_no_gate_and_take_nothing_back(
    world: Taken, run: Run, outcome: str
) -> None:
    world.start(1, quick(100))
    world.tick()
    for board in BOARDS:
        world.forge(board, NamedDevice(board).forged(models=answers(world, board, outcome)))
    world.tick()
    row = seen(world).rows[0]
    assert (row.succeeded, row.rolled_back) == (0, 0)
    assert newest(world).back is None
    world.now += 200
    world.tick()
    assert {one.device: one.outcome for one in seen(world).problems} == dict.fromkeys(
        BOARDS, "silent"
    )


def test_boards_whose_reports_a_gateway_keeps_back_are_silent(world: Taken, run: Run) -> None:
    """Presence is not proven: a gateway may say online for ever. Reports that stop are noticed."""
    world.now += 2 * SILENT_SECONDS
    world.tick()
    world.present(b"online", *BOARDS)
    for board in BOARDS:
        assert entry(run, board)["silent_since"] is not None
    assert "3 of them silent" in run("fleet", "status").out
    assert run("device", "list", "--trouble").out.count("silent for") == 3


def test_a_gateway_that_says_it_is_offline_is_named_for_its_boards_alone(
    world: Taken, run: Run
) -> None:
    """Nor is this proven. It changes what is shown, and no rollout."""
    world.start(1, quick(100))
    world.tick()
    world.present(b"offline", GATEWAY, *BOARDS)
    assert "gw-1 is offline since" in run("fleet", "status").out
    world.answer("SUCCEEDED", world.boards)
    world.tick()
    assert newest(world).status == "FINISHED"


@pytest.mark.parametrize("proof", [OFF, SHOW])
def test_boards_are_not_defended_where_no_proof_is_required(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], proof: str
) -> None:
    """The limit of the promise: the gateway speaks for them, and can lie for them."""
    with closing(Taken(tmp_path, proof)) as world:
        run = commands(world, capsys)
        world.start(1, quick(100))
        world.tick()
        for board in BOARDS:
            models = answers(world, board, "SUCCEEDED")
            lie = {"extra": {"via": "gw-2"}, "models": models, "n": 1000}
            world.forge(board, NamedDevice(board).forged(**lie))
        world.tick()
        assert newest(world).status == "FINISHED"
        assert entry(run, "b1")["via"] == "gw-2"
        assert ("counts all the same" in run("fleet", "status").out) == (proof == SHOW)
