"""The points of sweeps that have run, in a file, so that a sweep that was stopped goes on."""

import hashlib
import json

from tests.board.sweep.compiled import HERE, TREES
from tests.board.sweep.cuts import Point
from tests.micropython import ROOT


class Results:
    """Used as `with Results(path) as results`. `path`: None keeps nothing."""

    def __init__(self, path, code=None):
        """`code`: what the points are of; those of other code run again."""
        self.code = code or code_now()
        self.found = {}
        self.file = None
        if path:
            self.file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 (__exit__ closes it)
            self.file.seek(0)
            for line in self.file:
                self._read(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.file:
            self.file.close()

    def of(self, *part):
        """{number: Point}. `part`: file system, scenario, mode, and whether it is the late one."""
        return self.found.get(part, {})

    def add(self, point, *part):
        self.found.setdefault(part, {})[point.number] = point
        if self.file:
            told = [self.code, part, point.number, point.where, point.faults]
            self.file.write(json.dumps(told) + "\n")
            self.file.flush()

    def _read(self, line):
        try:
            code, part, number, where, faults = json.loads(line)
        except ValueError:
            return  # its end was not written any more
        if code == self.code:
            point = Point(part[2], number, faults)
            point.where = where
            self.found.setdefault(tuple(part), {})[number] = point


def code_now():
    """A digest of the code that the points are of."""
    digest = hashlib.sha256()
    for tree in (*TREES, HERE):
        for path in sorted((ROOT / tree).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
