"""Some of the histories of `make heal`, and what the simulator needs to be believed.

MODELWAVE_LONG=1 plays all histories of KNOWN and 32 random ones, an ordinary run a quarter of
those of KNOWN and 2 random ones."""

import os
import signal
import subprocess
import sys

import pytest

from tests.heal import histories
from tests.heal.histories import Step, made, play, shrunk, told
from tests.heal.known import KNOWN
from tests.heal.many import played

LONG = os.environ.get("MODELWAVE_LONG") == "1"
RANDOM = 32 if LONG else 2  # `make heal` plays 2,000
STEP = 1 if LONG else 4  # through those of KNOWN
MAX_STEPS = 5


@pytest.mark.slow
@pytest.mark.timeout(3600)  # it uses all cores; on a busy machine it has a part of them
def test_every_history_ends_with_each_device_on_what_it_should_run() -> None:
    chosen = [(1, history) for history in [*KNOWN.values()][::STEP]]
    chosen += [(seed, made(seed, MAX_STEPS)) for seed in range(RANDOM)]
    for seed, history, outcome in played(chosen):
        if outcome.violation:
            history = shrunk(history, seed, outcome.violation.kind)
            pytest.fail(f"{play(history, seed).violation}\n{told(history, seed)}")


@pytest.mark.slow
def test_a_history_is_made_and_played_the_same_each_time() -> None:
    assert made(7) == made(7)
    history = made(3)[:3]
    assert play(history, 3).log == play(history, 3).log


@pytest.mark.slow
def test_a_history_that_breaks_a_rule_is_shrunk_to_the_steps_that_do_it(monkeypatch) -> None:
    def breaks(world: object) -> None:
        world.fault("test", "broken")

    monkeypatch.setitem(histories.KINDS, "breaks", histories.KINDS["starts"]._replace(do=breaks))
    history = [Step("broker_drops", (), 50), Step("breaks", (), 90), Step("broker_drops", (), 50)]
    assert shrunk(history, 1, "test") == [Step("breaks", (), histories.SHORT_SECONDS)]


@pytest.mark.slow
@pytest.mark.timeout(1200)  # as above
def test_ctrl_c_ends_all_processes_and_names_the_seed_to_go_on_with() -> None:
    """Ctrl-C reaches each process of the terminal, so the whole group gets it here. Where these
    tests run in the background of a shell, they ignore it, and what they start would too."""
    command = [sys.executable, "-m", "tests.heal", "--seed", "31", "--histories", "70"]  # few steps
    with subprocess.Popen(
        [*command, "--processes", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as heal:
        told = b""
        while b"1 of 70 histories" not in told and heal.poll() is None:
            told += heal.stdout.read1()
        os.killpg(heal.pid, signal.SIGINT)
        out, err = heal.communicate(timeout=600)
    assert (heal.returncode, err) == (130, b"")
    done = int((told + out).split(b" of 70")[-2].split(b"\r")[-1])
    assert f"To go on: make heal SEED={31 + done} HISTORIES={70 - done}\n".encode() in out
    with pytest.raises(ProcessLookupError):
        os.killpg(heal.pid, 0)
