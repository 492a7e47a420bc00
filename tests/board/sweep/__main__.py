"""The whole sweep, as a table (`make boards-sweep`). Ends with 1 if anything failed that must
hold, or if the wrong order of writes did not."""

import sys
import tempfile
from pathlib import Path

from tests.board.sweep.cuts import FILESYSTEMS, MODES, SCENARIOS, Sweep, unexpected

LATE = ("update", "failed health")
HEAD = """\
| file system | scenario | damage | points | failures | of these in FAT's own accounts |
| --- | --- | --- | ---: | ---: | ---: |"""
RIGHT, WRONG = "The journal is written first:", "On purpose it is written last:"


def main():
    good = True
    for late, names in ((False, SCENARIOS), (True, LATE)):
        print(f"\n{WRONG if late else RIGHT}\n\n{HEAD}", flush=True)
        for filesystem in FILESYSTEMS:
            failures = [_rows(filesystem, name, late) for name in names]
            good = good and all(failures) if late else good and not any(failures)
    return 0 if good else 1


def _rows(filesystem, name, late):
    """Prints those of one sweep; the number of failures that are not FAT's."""
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        sweep = Sweep(Path(folder), filesystem, name, late)
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
