"""Writes the cases into a folder, and runs the device's program with them on either Python."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

from modelwave_controller.boards import package
from tests import micropython
from tests.bad_input import envelopes, fields, fleet, roots, signatures
from tests.bad_input.case import HEARTBEAT, ORDER, ROOT, Case
from tests.board.releases import write_files
from tests.signing import NONCE

CASES: tuple[Case, ...] = (
    *envelopes.CASES,
    *signatures.CASES,
    *fields.CASES,
    *roots.CASES,
)
LIST = tomllib.loads((Path(__file__).parent / "list.toml").read_text())
PROGRAMS = Path(__file__).parent / "device"
SECONDS = 900
TIMES = 50
IS_LONG = bool(os.environ.get("MODELWAVE_LONG"))
RAM_BYTES = 100_000
FLASH_BYTES = 1_000_000


def named(name: str) -> list[Case]:
    """The cases with this name, or that begin so, where a * ends it."""
    if name.endswith("*"):
        return [case for case in CASES if case.name.startswith(name[:-1])]
    return [case for case in CASES if case.name == name]


def cases_for(python: str) -> tuple[Case, ...]:
    """All of them; on MicroPython, which takes ten times as long, in the short form one for each
    entry of the list."""
    if python == "cpython" or IS_LONG:
        return CASES
    entries = [shown for section in LIST.values() for shown in section.values()]
    firsts = [found[0] for shown in entries if (found := [c for n in shown for c in named(n)])]
    return tuple(case for case in CASES if case in firsts)


def write(folder: Path, python: str, cases: "tuple[Case, ...]") -> None:
    """Writes what the program for this Python needs, into `folder`."""
    write_files(folder / "files", fleet.LIVE, fleet.NEXT, fleet.MIXED)
    (folder / "root.json").write_bytes(fleet.signed_root(fleet.root(1)))
    (folder / "first").write_bytes(fleet.order(7, fleet.LIVE, key=fleet.REVOKED_KEY, epoch=0))
    (folder / "second-root").write_bytes(fleet.signed_root(fleet.root(2)))
    (folder / "under-it").write_bytes(fleet.order(fleet.FIRST_FLOOR, fleet.LIVE))
    (folder / "beat").write_bytes(fleet.heartbeat(fleet.payload(fleet.heartbeat_document())))
    (folder / "third-root").write_bytes(fleet.signed_root(fleet.root(3)))
    floor, told = fleet.FIRST_FLOOR, []
    for number, case in enumerate(cases):
        names = []
        for at, message in enumerate(_messages(case, floor, python)):
            names.append(f"{number}.{at}")
            (folder / names[-1]).write_bytes(message)
        entry = {"topic": case.topic, "messages": names, "nonce": NONCE, "seq": 0, "good": ""}
        entry["times"] = _times(case, python)
        if case.topic == HEARTBEAT:
            entry["good"] = "beat"
        elif case.topic != ROOT:
            floor += fleet.STEP
            entry.update(seq=floor, good=f"{number}.good")
            (folder / entry["good"]).write_bytes(fleet.order(floor, fleet.LIVE))
        told.append(entry)
    mixed, last = floor + fleet.STEP, floor + 2 * fleet.STEP
    (folder / "mixed").write_bytes(fleet.order(mixed, fleet.MIXED))
    (folder / "last").write_bytes(fleet.order(last, fleet.NEXT))
    given = {
        "device": fleet.DEVICE,
        "target": fleet.TARGET,
        "now": fleet.NOW,
        "ram": RAM_BYTES,
        "flash": FLASH_BYTES,
        "begin": [
            [ORDER, "first", 7],
            [ROOT.replace("/3", "/2"), "second-root", 0],
            [ORDER, "under-it", fleet.FIRST_FLOOR],
        ],
        "cases": told,
        "end": [
            [ORDER, "mixed", mixed, "ROLLED_BACK"],
            [ROOT, "third-root", 0, ""],
            [ORDER, "last", last, "SUCCEEDED"],
        ],
    }
    (folder / "cases.json").write_text(json.dumps(given))


def _messages(case: Case, floor: int, python: str) -> list[bytes]:
    """A part of them, where a board would take minutes for all."""
    made = case.messages(floor)
    return made[::16] if len(made) > 100 and python == "micropython" and not IS_LONG else made


def _times(case: Case, python: str) -> int:
    """How often the message comes again. Each time a board verifies an order anew that it may take
    later, which takes it long."""
    is_slow = python == "micropython" and case.says.startswith(("fit", "time", "minimum"))
    return 5 if is_slow and not IS_LONG else TIMES


def on_micropython(folder: Path) -> list[dict]:
    """What the board's program has printed."""
    package.write(package.build(), folder / "package")
    return _read(micropython.run(folder, PROGRAMS / "board.py", folder, folder / "package"))


def on_cpython(folder: Path) -> list[dict]:
    command = [sys.executable, "-m", "tests.bad_input.device.host", str(folder)]
    done = subprocess.run(
        command,
        cwd=micropython.ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    return _read(done)


def _read(done: "subprocess.CompletedProcess[str]") -> list[dict]:
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
