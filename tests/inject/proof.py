"""The real process that runs a golden set proves a healthy model with TFLite, and is disturbed at
one point. It may say that it could not tell, and must not say that the model is unhealthy: that
bans the release on the device."""

import json
from pathlib import Path

from tests.agent.host_world import CATALOGUE, MODELS
from tests.inject.calls import Hit, Point, hit
from tests.inject.lives import Forker, first_of
from tests.inject.tracing import Log

ENTRY = CATALOGUE["versions"][0]
ARGUMENTS = (
    *("--model", str(MODELS / ENTRY["file"])),
    *("--golden", str(MODELS / ENTRY["golden"]["file"])),
    *("--tolerance", json.dumps(ENTRY["tolerance"])),
)


async def first(forker: Forker, folder: Path) -> str:
    """Proves it undisturbed. Returns the log of strace."""
    faults, log = await _proven(forker, folder, None)
    if faults:
        raise RuntimeError(f"the proof, undisturbed: {faults}")
    return log


async def play(folder: Path, forker: Forker, point: Point) -> tuple[list[str], Hit]:
    faults, log = await _proven(forker, folder, point)
    return faults, hit(log, point)


async def _proven(forker: Forker, folder: Path, point: Point | None) -> tuple[list[str], str]:
    said, log = folder / f"said-{point or 'undisturbed'}", Log()
    said.write_text("")
    async with forker.life(ARGUMENTS, said, log, point) as life:
        await first_of("the verdict", life.code)
    end = life.end()
    faults = end.problems("prove", point)
    if end.code == 0 and not json.loads(end.last)["healthy"]:
        faults.append(f"a healthy model was judged: {json.loads(end.last)['reason']}")
    return faults, log.text
