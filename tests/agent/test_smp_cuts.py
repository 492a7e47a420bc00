"""An update by SMP with trouble at each message: of the line, the board's power and the gateway's.
However it goes, it ends whole: the board runs a confirmed image, a good one stays, and a bad one
was never confirmed. MODELWAVE_LONG=1 tests all cases and pairs of them, an ordinary run a part."""

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("smpclient", reason="needs the extra relay")

from modelwave_agent.host.carried.port import CarrierError
from modelwave_agent.host.carried.smp import SmpCarrier
from tests.agent.smp_board import Board, hash_of
from tests.agent.smp_update import INPUTS, NEW, OLD, Files, board, program, update
from tests.agent.smp_wires import GatewayCut, Wire

LONG = os.environ.get("MODELWAVE_LONG") == "1"
STEP = 1 if LONG else 13
PAIRS = 4000 if LONG else 24
KINDS = (
    *("request lost", "request doubled", "answer lost", "answer doubled", "older answer first"),
    *("garbage", "noise", "unplugged"),
    *("board cut before", "board cut before, all the same", "board cut after"),
    *("gateway cut before", "gateway cut after"),
)
MOST_LIVES = 8

Make = Callable[[], Board]


def unhealthy() -> Board:
    there = board()
    there.programs[hash_of(NEW)].ok = False
    return there


def refused() -> Board:
    there = board()
    there.unsigned.add(hash_of(NEW))
    return there


SCENES: dict[str, Make] = {
    "good": board,
    "wrong answers": lambda: board(program(is_good=False)),
    "unhealthy": unhealthy,
    "refused by the boot loader": refused,
}


async def wrong(scene: str, files: Files, faults: dict[int, str]) -> tuple[str, int]:
    """Returns what is wrong in the end, or "", and how many messages there were."""
    there = SCENES[scene]()
    wire = Wire(there, lambda n: faults.get(n, ""))
    is_good = scene == "good"
    reason = "not done"
    for _ in range(MOST_LIVES):
        try:
            reason = await update(SmpCarrier(wire.line), files)
            break
        except (CarrierError, GatewayCut):
            continue
    there.power_cut()
    wanted = NEW if is_good else OLD
    if bool(reason) == is_good or reason == "not done":
        return f"the verdict is {reason!r}", wire.n
    if there.primary != wanted or not there.is_confirmed:
        return "the board does not run the image that it should, confirmed", wire.n
    first = next((proven for kept, proven in there.kept if kept == NEW), None)
    if first is not None and (not is_good or first < len(INPUTS)):
        return "an image was confirmed that had not run its golden set", wire.n
    return "", wire.n


async def sweep(files: Files) -> tuple[int, list[str]]:
    count, bad = 0, []
    drawn = random.Random(15)
    for scene in SCENES:
        _, messages = await wrong(scene, files, {})
        cases = [{n: kind} for n in range(messages) for kind in KINDS][::STEP]
        cases += [
            {drawn.randrange(messages): drawn.choice(KINDS) for _ in range(2)}
            for _ in range(PAIRS // len(SCENES))
        ]
        for faults in cases:
            count += 1
            if found := (await wrong(scene, files, faults))[0]:
                bad.append(f"{scene}, {faults}: {found}")
    return count, bad


def test_every_trouble_at_every_message_ends_whole(tmp_path: Path) -> None:
    count, bad = asyncio.run(sweep(Files(tmp_path)))
    print(f"SMP: {count:,} cases, {len(bad)} bad")
    assert bad == [], "\n".join(bad)


def test_an_answer_that_is_lost_or_comes_twice_costs_no_trial(tmp_path: Path) -> None:
    """One that is lost costs a message or two, one that comes twice costs none."""

    files = Files(tmp_path)

    async def spent(kind: str, at: int) -> tuple[int, int]:
        there = board()
        wire = Wire(there, lambda n: kind if n == at else "")
        assert await update(SmpCarrier(wire.line), files) == ""
        return wire.n, there.boots

    async def all_of_them() -> None:
        plain, boots = await spent("", -1)
        assert boots == 2
        for at in range(0, plain, 1 if LONG else 5):
            assert await spent("answer doubled", at) == (plain, 2), at
            assert await spent("older answer first", at + 1) == (plain, 2), at
            lost = await spent("answer lost", at)
            assert lost[0] <= plain + 2, at
            assert lost[1] == 2, at

    asyncio.run(all_of_them())
