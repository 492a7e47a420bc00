"""Runs tests in processes that are forked from this one, which has imported what is slow but
nothing of modelwave. A child may have another source for one file."""

import importlib.machinery
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from tests.mutation.mutants import ROOT, Mutant

LEAST_SECONDS = 60  # a mutant that hangs is known by then; more where the tests take longer
SLOW_IMPORTS = (
    *("aiohttp", "alembic", "argon2", "cryptography.hazmat.primitives.asymmetric.ed25519"),
    *("hypothesis", "jinja2", "numpy", "paho.mqtt.client", "pydantic", "rich.console"),
    *("scipy.stats", "sqlalchemy", "typer"),
)


def prepare() -> None:
    """Imports what each child would import for itself. A mutant would not be noticed in a module
    that is there already, so none of modelwave's may be."""
    for name in SLOW_IMPORTS:
        __import__(name)
    ours = [name for name in sys.modules if name.startswith("modelwave_")]
    assert not ours, f"imported too early: {ours}"


@dataclass
class _Child:
    mutant: Mutant
    ends_at: float


def tested(
    mutants: Iterable[Mutant],
    choose: Callable[[Mutant], list[str]],
    seconds: Callable[[list[str]], float],
    workers: int,
) -> Iterator[tuple[Mutant, bool]]:
    """Yields each mutant, and whether the tests that `choose` names noticed it. `seconds`: what
    these take without a mutant; where they take ten times as long, they have noticed."""
    waiting = iter(mutants)
    running: dict[int, _Child] = {}
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    try:
        while True:
            while len(running) < workers and (mutant := next(waiting, None)) is not None:
                tests = choose(mutant)
                child = fork(lambda tests=tests, mutant=mutant: _run(tests, mutant))
                limit = max(LEAST_SECONDS, 10 * seconds(tests))
                running[child] = _Child(mutant, time.monotonic() + limit)
            if not running:
                return
            for child, code in _ended(running):
                yield running.pop(child).mutant, code != 0
    finally:
        for child in running:
            end(child)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


def _ended(running: dict[int, _Child]) -> list[tuple[int, int]]:
    """Waits until a child ends, or until one has run too long and is killed: (its id, its code)."""
    left = min(child.ends_at for child in running.values()) - time.monotonic()
    signal.sigtimedwait({signal.SIGCHLD}, max(0.0, left))
    for child, known in running.items():
        if known.ends_at <= time.monotonic():
            _kill(child)
    found = [(child, os.waitpid(child, os.WNOHANG)) for child in running]
    return [(child, code) for child, (ended, code) in found if ended]


def end(child: int) -> None:
    _kill(child)
    os.waitpid(child, 0)


def _kill(child: int) -> None:
    """Kills the child with all that it has started."""
    os.killpg(child, signal.SIGKILL)


def fork(work: Callable[[], int]) -> int:
    """Starts a process in a group of its own that does the work and ends with its code."""
    child = os.fork()
    if child:
        os.setpgid(child, child)
        return child
    code = 1
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # as of any process in which tests run
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        code = work()
    finally:
        os._exit(code)


def _run(tests: list[str], mutant: Mutant) -> int:
    replace_source(ROOT / mutant.path, mutant.source)
    return run_tests(["--exitfirst", *tests])


def run_tests(arguments: list[str], plugins: Iterable[Any] = ()) -> int:
    """Runs pytest in this process, quietly; returns its exit code."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        options = ("-q", "-p", "no:cacheprovider", "--basetemp", f"{folder}/pytest")
        return int(pytest.main([*options, *arguments], plugins=list(plugins)))


def replace_source(path: Path, source: str) -> None:
    """Lets this process import `source` in place of what the file has."""
    known = importlib.machinery.SourceFileLoader.get_code

    def get_code(self: Any, name: str) -> CodeType | None:
        if Path(self.path).resolve() == path:
            return compile(source, self.path, "exec", dont_inherit=True)
        return known(self, name)

    importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore[method-assign]
