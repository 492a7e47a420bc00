"""The whole sweep, as a table (`make boards-sweep`). Ends with 1 if anything failed that must
hold, or if the wrong order of writes did not."""

import sys
import tempfile
from pathlib import Path

from tests.board.sweep.cuts import FILESYSTEMS, SCENARIOS, Sweep, unexpected
from tests.board.sweep.flash import MODES
from tests.board.sweep.own_cuts import SCENARIOS as OWN_SCENARIOS
from tests.board.sweep.own_cuts import OwnSweep

LATE_FILESYSTEMS, LATE_SCENARIOS = ("lfs2", "fat"), ("update", "failed health")
HEAD = """\
| file system | scenario | damage | points | failures | of these in FAT's own accounts |
| --- | --- | --- | ---: | ---: | ---: |"""
RIGHT, WRONG = "The journal is written first:", "On purpose it is written last:"


def main():
    right = _table(RIGHT, FILESYSTEMS, (*SCENARIOS, *OWN_SCENARIOS), late=False)
    wrong = _table(WRONG, LATE_FILESYSTEMS, LATE_SCENARIOS, late=True)
    return 1 if any(right) or not all(wrong) else 0


def _table(title, filesystems, names, late):
    """Prints it; how often each sweep failed, FAT's own failures apart."""
    print(f"\n{title}\n\n{HEAD}", flush=True)
    return [_rows(filesystem, name, late) for filesystem in filesystems for name in names]


def _rows(filesystem, name, late):
    """Prints those of one sweep; its failures, FAT's own apart."""
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        verdicts = Path(folder) / "verdicts"
        verdicts.mkdir()
        if name in OWN_SCENARIOS:
            sweep = OwnSweep(Path(folder), filesystem, name, verdicts)
        else:
            sweep = Sweep(Path(folder), filesystem, name, verdicts, late)
        for mode in MODES:
            points = sweep.run(mode, range(1, sweep.operations + 1))
            failed = sum(bool(point.faults) for point in points)
            ours = unexpected(points)
            count += len(ours)
            cells = (filesystem, name, mode, len(points), failed, failed - len(ours))
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)
            if not late:
                for point in ours:
                    print(point, file=sys.stderr)
    return count


if __name__ == "__main__":
    sys.exit(main())
