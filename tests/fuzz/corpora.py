"""Keeps inputs that reach places of the product which no earlier one reached."""

from pathlib import Path

from tests.fuzz.running import new_inputs
from tests.fuzz.target import Target

MAX_FILES = 48  # of a target
MAX_BYTES = 150_000


def keep(target: Target, folder: Path) -> None:
    """Adds what a run in `folder` has found to the target's corpus. libFuzzer has kept there what
    is new, in its shortest form. Of many, as many of each length are left out."""
    seeds = target.seeds()
    target.corpus.mkdir(parents=True, exist_ok=True)
    found: dict[str, bytes] = {}
    for path in (*target.corpus.iterdir(), *new_inputs(folder).iterdir()):
        data = path.read_bytes()
        if data and data not in seeds:
            found[path.name[:12]] = data
    by_length = sorted(found, key=lambda name: (len(found[name]), name))
    step = max(1, -(-len(by_length) // MAX_FILES))
    while sum(len(found[name]) for name in by_length[::step]) > MAX_BYTES:
        step += 1
    for path in target.corpus.iterdir():
        path.unlink()
    for name in by_length[::step]:
        (target.corpus / name).write_bytes(found[name])
