"""Tests of `modelwave simulate judge`, which needs no home, no service and no keys."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from modelwave_controller import cli
from modelwave_controller.cli import simulate
from modelwave_controller.evidence.simulated import HARMS, Played, Rollout
from modelwave_controller.interruption import Interrupted

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`modelwave simulate judge plan.toml` with these arguments, in an empty folder: (exit code,
    stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MODELWAVE_HOME", raising=False)
    written(tmp_path, 'gates = ["accuracy >= baseline - 0.05"]')

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.run(["simulate", "judge", "plan.toml", *arguments])
        return code, *capsys.readouterr()

    return call


def written(folder: Path, text: str) -> None:
    (folder / "plan.toml").write_text(text)


def test_good_release_finishes_and_a_bad_one_is_reverted_early(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("--devices", "50", "--runs", "4")
    assert code == 0
    rows = {line[:9].strip(): line for line in out.splitlines()}
    assert "100 % (51 to 100)" in rows["nothing"]
    assert rows["10 points"].split()[2:4] == ["4", "0"]
    assert "stage 1, after" in rows["10 points"]
    assert [file.name for file in tmp_path.iterdir()] == ["plan.toml"]


def test_fleet_of_one_device_is_played(run: Run) -> None:
    code, out, _ = run("--devices", "1", "--runs", "1")
    assert code == 0
    assert out.startswith("1 device; accuracy 0.9")


def test_json_has_the_same_and_equal_seeds_give_equal_figures(run: Run) -> None:
    arguments = ("--targets", "a=20, b=5", "--runs", "2", "--seed", "7", "--json")
    code, out, _ = run(*arguments)
    found = json.loads(out)
    assert code == 0
    assert run(*arguments)[1] == out
    assert (found["devices"], found["complete"], found["seed"]) == ({"a": 20, "b": 5}, True, 7)
    assert [one["harm"] for one in found["outcomes"]] == list(HARMS)
    for one in found["outcomes"]:
        assert one["finished"] + one["held"] + one["failed"] == one["runs"] == 2
    assert found["outcomes"][-1]["often"]["stage"] == 0


def test_plan_that_does_not_judge_accuracy_is_played_as_if_it_did(run: Run, tmp_path: Path) -> None:
    written(tmp_path, 'gates = ["failures <= 0.001"]\non_fail = "hold"')
    code, out, _ = run("--devices", "20", "--runs", "1")
    assert code == 0
    assert "as if it also named accuracy >= baseline - 0.02" in out
    assert "FAILs, holds" in out


def test_bad_plan_has_the_error_of_lint(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in ("stages = [{ percent = 50 }]", 'gates = ["accuracy > 1"]', "no = 1", "gates = ["):
        written(tmp_path, text)
        code, _, simulated = run("--devices", "9")
        assert cli.run(["rollout", "lint", "--plan", "plan.toml"]) == code == 2
        lint = capsys.readouterr().err
        assert simulated == lint.replace("--plan plan.toml", "PLAN plan.toml")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("", "--devices"),
        ("--devices 0", "--devices"),
        ("--devices 100001", "--devices"),
        ("--devices 9 --targets a=9", "--devices"),
        ("--targets a", "--targets"),
        ("--targets a=x", "--targets"),
        ("--targets a=-1", "--targets"),
        ("--targets a=0", "--targets"),
        ("--targets =5", "--targets"),
        ("--targets a=1,a=2", "--targets"),
        ("--targets a=99999,b=2", "--targets"),
        ("--targets a=12345678901234567890", "--targets"),
        ("--devices 9 --labels 0", "--labels"),
        ("--devices 9 --accuracy 1", "--accuracy"),
        ("--devices 9 --accuracy nan", "--accuracy"),
        ("--devices 9 --spread -1", "--spread"),
        ("--devices 9 --spread nan", "--spread"),
        ("--devices 9 --before 17", "--before"),
        ("--devices 9 --runs 0", "--runs"),
        ("--devices 9 --runs 10001", "--runs"),
        ("--devices 9 --seed -1", "--seed"),
    ],
)
def test_option_out_of_its_bounds_is_named(run: Run, arguments: str, named: str) -> None:
    code, out, err = run(*arguments.split())
    assert code == 2
    assert named in err
    assert out == ""


def test_interrupted_one_prints_what_is_done(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    plays = 0
    play = Rollout.play

    def interrupted(self: Rollout) -> Played:
        nonlocal plays
        plays += 1
        if plays > 2 * len(HARMS) + 1:
            raise Interrupted(2)
        return play(self)

    monkeypatch.setattr(Rollout, "play", interrupted)
    code, out, _ = run("--devices", "12", "--runs", "50", "--json")
    found = json.loads(out)
    assert code == 130
    assert not found["complete"]
    assert [one["runs"] for one in found["outcomes"]] == [3, 2, 2, 2, 2]


def test_one_that_is_interrupted_at_once_prints_no_table(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Rollout) -> Played:
        raise Interrupted(2)

    monkeypatch.setattr(Rollout, "play", interrupted)
    code, out, err = run("--devices", "12")
    assert (code, out) == (130, "")
    assert "interrupted" in err


def test_progress_goes_to_stderr(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulate, "PROGRESS_SECONDS", 0)
    _, out, err = run("--devices", "12", "--runs", "2", "--json")
    assert json.loads(out)["complete"]
    assert "1 of 2 rollouts of each release" in err
