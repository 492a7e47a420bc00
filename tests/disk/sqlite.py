"""Cuts the power of the controller's database at every moment of its work (ledger.py), in ways of
left.py, and opens what is left with the real store. Ends with one line, and with 1 if a cut left
what it must not.

    python -m tests.disk.sqlite [--most N] [--step N] [--seed N]

SQLite writes by itself, so its system calls are recorded with strace, and done again on the disk of
medium.py (calls.py). What must hold of each state: it opens; SQLite finds nothing wrong in it; it
is the state after a commit, and not one before the last that was acted on; the chain of the log is
whole; and it takes the next commit.
"""

import argparse
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

from modelwave_controller.errors import StorageError
from modelwave_controller.operations import log_verifying
from modelwave_controller.operations.log_walk import WrongLog
from modelwave_controller.storage import log
from modelwave_controller.storage.store import Store
from tests import quick_databases
from tests.arguments import whole
from tests.disk import calls, left
from tests.disk.ledger import digest
from tests.disk.medium import Disk, Moment, State, applied
from tests.ending import INTERRUPTED, end_at_sigterm
from tests.heal.fleet import memory

MOST = 20  # cuts at each moment
TOLD = 1000  # states that are opened between two lines
EMPTY = ""  # the digest of a database without tables
LATER = 4_000_000_000.0  # Unix seconds, after all that the ledger wrote
MAP_BYTES = 32768


class Recording:
    """The calls of ledger.py in `folder`, and `digests` after each commit, in their order.
    `weaker`: a statement for each connection, so that less is synced."""

    def __init__(self, folder: Path, weaker: str = "") -> None:
        self.database, self.marks = folder / "database", folder / "marks"
        self.output = folder / "calls"
        self.database.mkdir()
        paths = (str(self.database), str(folder / "home"), str(self.marks))
        calls.record(["-m", "tests.disk.ledger", *paths, weaker], self.output)
        self.digests = [EMPTY, *self.marks.read_text().split()]

    def moments(self) -> Iterator[Moment]:
        """The facts of each are the number of the last commit that was acted on."""
        disk = Disk(facts=0)
        replay = calls.Replay(disk, self.database, self.marks, lambda: disk.tell(disk.facts + 1))
        yield from replay.run(calls.read(self.output))
        there = {f"/{path.name}": path.read_bytes() for path in self.database.iterdir()}
        assert dict(disk.seen()) == there, "calls are missing"


class Count:
    def __init__(self) -> None:
        self.cuts = self.opened = self.bad = 0
        self.faults: dict[str, str] = {}  # and where each was seen first

    def blame(self, where: str, faults: list[str]) -> None:
        self.bad += bool(faults)
        for fault in faults:
            self.faults.setdefault(fault, where)

    def line(self) -> str:
        return f"{self.cuts} cuts, they left {self.opened} states, each was opened; {self.bad} bad"


class Cut(NamedTuple):
    where: str
    state: State
    told: int  # the number of the last commit that was acted on


def drawn(moments: Iterator[Moment], most: int, step: int = 1, seed: int = 0) -> Iterator[Cut]:
    """Yields `most` cuts at each `step`-th moment, drawn by `seed`; all, where there are fewer."""
    random = Random(seed)
    for number, moment in enumerate(moments):
        if number % step == 0:
            ways = list(left.ways(moment.pending, is_fat=False))
            for what, kept in random.sample(ways, min(most, len(ways))):
                where = f"seed {seed}, moment {number}: {what}"
                yield Cut(where, applied(moment.base, kept), moment.facts)


def sweep(cuts: Iterable[Cut], digests: list[str], count: Count) -> None:
    """Opens what each of the cuts leaves."""
    seen: set[tuple[bytes, int]] = set()
    with (
        tempfile.TemporaryDirectory(prefix="modelwave-sqlite-", dir=memory()) as name,
        quick_databases.quick(),
    ):
        for cut in cuts:
            count.cuts += 1
            key = _fingerprint(cut.state), cut.told
            if key not in seen:
                seen.add(key)
                count.opened += 1
                count.blame(cut.where, problems(Path(name) / "database", cut, digests))
                if count.opened % TOLD == 0:
                    print(f"so far {count.line()}", flush=True)


def _fingerprint(state: State) -> bytes:
    found = hashlib.sha256()
    for path, data in state:
        found.update(f"{path} {len(data or b'')}\n".encode())
        found.update(data or b"")
    return found.digest()


def problems(folder: Path, cut: Cut, digests: list[str]) -> list[str]:
    """Opens what the cut leaves in `folder`; returns what is wrong with it."""
    folder.mkdir()
    try:
        for path, data in cut.state:
            (folder / path[1:]).write_bytes(data or b"")
        database = folder / "modelwave.db"
        if database.exists():  # nobody knows what the disk has of a file that is mapped into memory
            (folder / (database.name + calls.MAP)).write_bytes(Random(0).randbytes(MAP_BYTES))
        return _problems(database, cut.told, digests)
    finally:
        shutil.rmtree(folder)


def _problems(database: Path, told: int, digests: list[str]) -> list[str]:
    faults = []
    try:
        store = Store(f"sqlite:///{database}")
    except StorageError as error:
        return [f"it does not open: {str(error).replace(str(database), 'DATABASE')}"]
    try:
        with store.read() as connection:
            checked = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
            found = digest(connection)
        faults += [f"SQLite finds: {line}" for line in checked if line != "ok"]
        if found not in digests:
            faults.append("it is the state after no commit")
        elif found not in digests[told:]:
            faults.append("a commit that was acted on is lost")
        log_verifying.verify(store)
        with store.write() as connection:
            log.note_tick(connection, LATER)
    except WrongLog as error:
        faults.append(f"the chain of the log: {error}")
    except StorageError as error:
        faults.append(f"it opens, and then: {error}")
    finally:
        store.close()
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.disk.sqlite", description="Cut the power.")
    parser.add_argument("--most", type=whole(1), default=MOST, help="cuts at each moment")
    parser.add_argument("--step", type=whole(1), default=1, help="every N-th moment")
    parser.add_argument("--seed", type=whole(0), default=0, help="that draws the cuts")
    given = parser.parse_args()
    count, is_ended = Count(), False
    with tempfile.TemporaryDirectory(prefix="modelwave-sqlite-", dir=memory()) as name:
        try:
            recording = Recording(Path(name))
            cuts = drawn(recording.moments(), given.most, given.step, given.seed)
            sweep(cuts, recording.digests, count)
        except KeyboardInterrupt:
            print("ended by Ctrl-C")
            is_ended = True
    for fault, where in count.faults.items():
        print(f"    {fault}: {where}")
    print(f"SQLite on the disk that forgets: {count.line()}")
    return INTERRUPTED if is_ended else int(count.bad > 0)


if __name__ == "__main__":
    end_at_sigterm()
    sys.exit(main())
