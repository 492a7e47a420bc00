"""The everyday part of the fuzzers: each target reads its seeds, its corpus, and changes of both.
That needs no atheris, which alone knows what places of the product an input reaches."""

import importlib.util
import subprocess
import sys
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.running import ROOT
from tests.fuzz.shapes import SHAPES
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

CHANGED = 60  # of each target, besides those of hypothesis

each_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


@each_target
def test_seeds_are_taken_and_what_was_found_is_no_finding(target: Target) -> None:
    assert all(target.run(seed) for seed in target.seeds())
    verdicts = {target.run(data) for data in target.kept()}
    assert False in verdicts, "the corpus has no input that is refused"


@each_target
def test_inputs_of_which_some_bytes_are_others(target: Target) -> None:
    draw = Random(target.name)
    inputs = [*target.seeds(), *target.kept()]
    for _ in range(CHANGED):
        target.run(_changed(draw.choice(inputs), draw.choice(inputs), draw)[: target.longest])


def _changed(data: bytes, other: bytes, draw: Random) -> bytes:
    """Other bytes, fewer, or a piece of another input."""
    at, end = sorted(draw.randrange(len(data) + 1) for _ in range(2))
    kind = draw.randrange(4)
    if kind == 0:
        return data[:at] + other[draw.randrange(len(other) + 1) :]
    if kind == 1:
        return data[:at] + data[end:]
    if kind == 2:
        return data[:end] + data[at:]
    return data[:at] + draw.randbytes(draw.randrange(1, 5)) + data[at + 1 :]


@pytest.mark.parametrize(
    "target", [pytest.param(one, id=one.name) for one in TARGETS.values() if one.shape]
)
def test_inputs_that_are_changed_and_keep_their_shape(target: Target) -> None:
    inputs = [*target.seeds(), *target.kept()]
    change = SHAPES[target.shape]

    @settings(max_examples=CHANGED, deadline=None)
    @given(st.sampled_from(inputs), st.randoms(use_true_random=False))
    def each(data: bytes, draw: Random) -> None:
        made = change(data, target.longest, draw)
        if made is not None:
            target.run(made)

    each()


@pytest.mark.slow
def test_short_run_ends_with_one_line() -> None:
    pytest.importorskip("atheris", reason="no fuzzing without it: the extra dev has it on Linux")
    done = _fuzz("envelope", "json", "--runs", "3000", "--seed", "1")
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "fuzz: 2 targets, 6,000 runs, 0 findings"


def _fuzz(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_unknown_target_is_named() -> None:
    done = _fuzz("nonsense")
    assert done.returncode == 2
    assert "no target 'nonsense'" in done.stdout


@pytest.mark.skipif(importlib.util.find_spec("atheris") is not None, reason="atheris is there")
def test_command_without_atheris_says_what_to_install() -> None:
    assert "atheris is not installed" in _fuzz("json").stdout
