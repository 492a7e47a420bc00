"""Keeps the inputs that reach places of the product which no other kept one reaches."""

import subprocess
from pathlib import Path

from tests.fuzz.running import CHILD, ROOT, environment, new_inputs
from tests.fuzz.target import Target

MAX_FILES = 48  # of a target
MAX_BYTES = 150_000


def keep(target: Target, folder: Path) -> None:
    """Makes the target's corpus anew of the old one and of what a run in `folder` has found.
    libFuzzer chooses; of many, the longest are left out."""
    merged = folder / "merged"
    merged.mkdir()
    sources = [new_inputs(folder), folder / "seeds", target.corpus]
    options = ["-merge=1", f"-max_len={target.longest}"]
    subprocess.run(
        [*CHILD, *options, str(merged), *map(str, filter(Path.is_dir, sources))],
        cwd=ROOT,
        env=environment(target),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    seeds = target.seeds()
    chosen = {path.name: path.read_bytes() for path in merged.iterdir()}
    target.corpus.mkdir(parents=True, exist_ok=True)
    for path in target.corpus.iterdir():
        path.unlink()
    size = 0
    for name, data in sorted(chosen.items(), key=lambda one: len(one[1]))[:MAX_FILES]:
        size += len(data)
        if size <= MAX_BYTES and data not in seeds:
            (target.corpus / name[:12]).write_bytes(data)
