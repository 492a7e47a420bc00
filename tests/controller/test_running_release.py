"""A new release beside the one that runs, by held-out metrics."""

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from operator_home import golden_labels, tflite
from rollout_commands import Ran, Run
from rollout_world import PASSPHRASE, TARGET, World, quick

from modelwave_controller.cli.options import PASSPHRASE as PASSPHRASE_VARIABLE
from modelwave_controller.releases import golden_sets

HEALTHY = {"healthy": True, "reason": "", "runtime": "fake", "version": "1"}
SICK = {"healthy": False, "reason": "1 of 2 wrong", "runtime": "fake", "version": "1"}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv(PASSPHRASE_VARIABLE, PASSPHRASE.decode())
    golden_set(monkeypatch, HEALTHY)
    with closing(World(tmp_path, devices=3)) as made:
        yield made


def golden_set(monkeypatch: pytest.MonkeyPatch, verdict: dict[str, Any]) -> None:
    code = f"print({json.dumps(verdict)!r})"
    monkeypatch.setattr(golden_sets, "PROVE_COMMAND", (sys.executable, "-c", code))


def lineage(**metrics: int) -> dict[str, Any]:
    return {"dataset": "digits", "metrics": metrics, "quantisation": "int8"}


def accuracy(ppm: int, n: int) -> dict[str, Any]:
    return lineage(accuracy_ppm=ppm, accuracy_n=n)


@pytest.fixture
def create(world: World, run: Run, tmp_path: Path) -> Run:
    """`release create` of a model for TARGET, with further arguments."""
    model, golden = tflite(tmp_path / "model.tflite"), golden_labels(tmp_path / "golden.bin")

    def call(version: str, *more: str) -> Ran:
        return run(
            *("release", "create", "digits", version, "--target", TARGET, "--yes"),
            *("--file", str(model), "--golden", str(golden), "--least-correct", "0.9"),
            *("--ram", "2048", "--dataset", "digits", "--quantisation", "int8", *more),
        )

    return call


def roll_out(world: World, number: int, metrics: dict[str, Any]) -> None:
    world.shelve(number, lineage=metrics)
    rollout = world.start(number, quick(100), lineage=metrics)
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    for _ in range(3):
        world.now += 10
        world.tick()
    assert world.state().rollouts[rollout].status == "FINISHED"


def test_comparison_with_the_release_that_runs_is_printed_and_metrics_are_signed(
    world: World, create: Run
) -> None:
    roll_out(world, 3, accuracy(972_000, 360))
    world.shelve(4, lineage=accuracy(100_000, 360))  # newer, and runs nowhere
    ran = create("v5", "--metric", "accuracy=0.968", "--n", "360")
    assert ran.code == 0, ran.err
    assert f"Compared with release 3, which runs on {TARGET}:" in ran.out
    assert (
        "accuracy 0.968 (n=360) beside 0.972 (n=360) of release 3: difference -0.4 points, "
        "95 % interval -3.1 to +2.3: lower, which may be chance"
    ) in ran.out
    made = create("v6", "--metric", "accuracy=349/360", "--json").json()
    assert made["manifest"]["lineage"]["metrics"] == {"accuracy_n": 360, "accuracy_ppm": 969_444}
    assert made["held_out"] == {"accuracy": {"share": 0.969444, "n": 360}}
    assert made["compared"]["with"] == 3
    (metric,) = made["compared"]["metrics"]
    assert (metric["name"], metric["worse"]) == ("accuracy", False)
    assert metric["least"] < metric["difference"] < metric["most"]


def test_worse_release_is_refused_and_a_reason_to_force_it_is_signed(
    world: World, create: Run, run: Run
) -> None:
    roll_out(world, 3, accuracy(972_000, 3600))
    worse = ("v4", "--metric", "accuracy=0.9", "--n", "3600")
    ran = create(*worse)
    assert (ran.code, ran.out) == (1, "")
    for words in ("not released: accuracy 0.9", "-7.2 points", ": worse;", "--force REASON"):
        assert words in ran.err
    assert run("release", "list", "--json").json()[-1]["manifest"]["release"] == 3
    ran = create(*worse, "--force", "smaller, and fast enough")
    assert ran.code == 0, ran.err
    assert "golden set passed" in ran.out
    assert "FORCED  smaller, and fast enough" in ran.out
    shown = run("release", "show", "digits", "4", "--json").json()
    assert shown[0]["manifest"]["forced"] == "smaller, and fast enough"


def test_release_that_fails_both_checks_is_told_both_at_once(
    world: World, create: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden_set(monkeypatch, SICK)
    world.shelve(3, lineage=accuracy(972_000, 3600))
    ran = create("v4", "--metric", "accuracy=0.9", "--n", "3600")
    assert ran.code == 1
    assert "1 of 2 wrong" in ran.err
    assert ": worse;" in ran.err


def test_refusal_of_many_worse_metrics_still_says_how_to_force_it(
    world: World, create: Run
) -> None:
    names = [name * 50 for name in "abcd"]
    old = {key: value for n in names for key, value in ((n + "_ppm", 970_000), (n + "_n", 3600))}
    world.shelve(3, lineage=lineage(**old))
    ran = create("v4", *(word for n in names for word in ("--metric", f"{n}=1/3600")))
    assert ran.code == 1
    assert ": worse (and 3 more metrics); --force REASON releases it anyway" in ran.err


def test_reason_that_nothing_needed_is_not_signed(world: World, create: Run) -> None:
    roll_out(world, 3, accuracy(972_000, 360))
    made = create("v4", "--metric", "accuracy=0.968", "--n", "360", "--force", "x", "--json")
    assert made.json()["manifest"]["forced"] == ""


def test_release_without_metrics_is_signed_as_before(world: World, create: Run) -> None:
    roll_out(world, 3, accuracy(972_000, 3600))
    ran = create("v4", "--metric", "right=348")
    assert (ran.code, "ompared" in ran.out) == (0, False)
    made = create("v5", "--json").json()
    assert (made["held_out"], made["compared"]) == ({}, None)


def test_release_that_runs_without_metrics_is_said(world: World, create: Run) -> None:
    roll_out(world, 3, lineage(right=348))
    ran = create("v4", "--metric", "accuracy=0.1", "--n", "3600")
    assert ran.code == 0
    assert f"Compared with release 3, which runs on {TARGET}:\naccuracy: release 3 has none" in (
        ran.out
    )


def test_first_release_of_a_target_is_compared_with_nothing(world: World, create: Run) -> None:
    world.shelve(3, ("rp2040",), lineage=accuracy(972_000, 3600))
    ran = create("v4", "--metric", "accuracy=0.1", "--n", "3600")
    assert ran.code == 0
    assert f"compared with nothing: this home has no other release of digits for {TARGET}" in (
        ran.out
    )


def test_without_a_finished_rollout_the_newest_release_of_the_home_is_compared(
    world: World, create: Run
) -> None:
    world.shelve(2, lineage=accuracy(100_000, 3600))
    world.shelve(10, lineage=accuracy(972_000, 3600))
    ran = create("v11", "--metric", "accuracy=0.9", "--n", "3600")
    assert ran.code == 1
    assert "of release 10" in ran.err
    ran = create("v11", "--metric", "accuracy=0.98", "--n", "3600")
    assert f"the newest one for {TARGET}, as no rollout of it for {TARGET} has finished" in ran.out


def test_beside_the_release_key_the_last_bundle_is_compared_and_no_database_is_made(
    world: World, create: Run, tmp_path: Path
) -> None:
    for name in ("controller.toml", "modelwave.db"):
        (world.home.path / name).unlink()
    first = ("v1", "--release", "1", "--out", str(tmp_path / "one"))
    assert create(*first, "--metric", "accuracy=0.972", "--n", "3600").code == 0
    ran = create("v2", "--metric", "accuracy=0.9", "--n", "3600", "--out", str(tmp_path / "two"))
    assert (ran.code, "of release 1" in ran.err) == (1, True)
    assert not (world.home.path / "modelwave.db").exists()


def test_database_that_cannot_be_read_is_said_and_keeps_nobody_from_signing(
    world: World, create: Run
) -> None:
    roll_out(world, 3, accuracy(972_000, 360))
    world.close()
    (world.home.path / "modelwave.db").write_bytes(b"no database" * 1000)
    ran = create("v4", "--metric", "accuracy=0.968", "--n", "360")
    assert ran.code == 0, ran.err
    assert f"the newest one for {TARGET}, as the database was not read (" in ran.out


def test_release_that_runs_and_is_not_in_the_home_is_said(world: World, create: Run) -> None:
    roll_out(world, 3, accuracy(972_000, 360))
    (world.home.releases / "digits" / "3" / f"{TARGET}.json").unlink()
    ran = create("v4", "--metric", "accuracy=0.968", "--n", "360", "--release", "4")
    assert ran.code == 0, ran.err
    assert f"compared with nothing: release 3, which runs on {TARGET}, is not in this home" in (
        ran.out
    )


def test_too_many_metrics_are_refused_before_anything_is_signed(world: World, create: Run) -> None:
    more = [word for name in "abcde" for word in ("--metric", f"{name}=1/2")]
    ran = create("v1", *more)
    assert ran.code == 2
    assert "lineage.metrics: has 10 entries" in ran.err
    assert create("v1", *more[2:]).code == 0


def test_held_out_metrics_are_shown_with_their_counts(world: World, run: Run) -> None:
    world.shelve(3, lineage=lineage(accuracy_ppm=972_000, accuracy_n=360, epochs=12))
    assert "accuracy 0.972 (n=360), epochs 12" in run("release", "list").out
    assert "accuracy 0.972 (n=360), epochs 12" in run("release", "show", "digits", "3").out
    for command in (("list",), ("show", "digits", "3")):
        (entry,) = run("release", *command, "--json").json()
        assert entry["held_out"] == {"accuracy": {"share": 0.972, "n": 360}}


def test_reliability_table_is_signed_and_shown(
    world: World, create: Run, run: Run, tmp_path: Path
) -> None:
    lines = "".join(f"{number},{number * 3},{number * 2}\n" for number in range(16))
    table = tmp_path / "table.csv"
    table.write_text(f"bin,n,correct\n{lines}")
    made = create("v1", "--reliability", str(table), "--json").json()
    assert made["manifest"]["extra"] == {
        "reliability_n": [3 * number for number in range(16)],
        "reliability_correct": [2 * number for number in range(16)],
        "ram_from": "given",
    }
    assert "240 of 360 right, in 16 bins of confidence" in run("release", "show", "digits", "1").out
    assert create("v2", "--json").json()["manifest"]["extra"] == {"ram_from": "given"}
    table.write_text(f"bin,n,correct\n{lines}".replace("15,45,30", "15,45,46"))
    refused = create("v3", "--reliability", str(table))
    assert refused.code == 2
    assert "row 16: correct: 46; give an integer from 0 to 45" in refused.err


def test_dry_run_shows_the_metrics_of_the_new_and_of_the_old_release(
    world: World, run: Run
) -> None:
    roll_out(world, 3, accuracy(972_000, 360))
    new = lineage(accuracy_ppm=968_000, accuracy_n=360, recall_ppm=500_000, recall_n=2)
    world.shelve(4, lineage=new)
    dry = ("rollout", "start", "digits", "4", "--dry-run")
    rows = [line.split("  ") for line in run(*dry).lines()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert ["target", "metric", "release 4", "before", "difference", "95 % interval"] in cells
    now = ["0.972 (n=360)", "-0.4 points", "-3.1 to +2.3"]
    assert [TARGET, "accuracy", "0.968 (n=360)", *now] in cells
    assert [TARGET, "recall", "0.5 (n=2)", "none"] in cells
    held_out = run(*dry, "--json").json()["held_out"][TARGET]
    assert held_out["old"] == {"accuracy": {"share": 0.972, "n": 360}}
    assert set(held_out["new"]) == {"accuracy", "recall"}
    assert [one["name"] for one in held_out["compared"]] == ["accuracy"]


def test_dry_run_of_releases_without_metrics_says_nothing_of_them(world: World, run: Run) -> None:
    roll_out(world, 3, lineage(right=348))
    world.shelve(4)
    ran = run("rollout", "start", "digits", "4", "--dry-run")
    assert (ran.code, "metric" in ran.out) == (0, False)
