"""Tests a release that runs beside the live one before it answers, with real parts."""

import re
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from modelwave_controller.demo.examples import release_arguments
from modelwave_controller.demo.fleet import HOST, Device, Parts
from tests.e2e.conftest import DIGITS, House

FLEET = [Device(f"pi-{n}", HOST, daemon=False) for n in range(1, 4)]
DEADLINE_SECONDS = 300
PLAN = """
gates = ["agreement >= 0.5"]
[trial]
time = "0s"
[judge]
window = "5s"
grace = "5s"
[shadow]
time = "10s"
share_percent = 100
ram = "512 MiB"
latency_ms = 10000
[[stages]]
shadow = true
percent = 100
[[stages]]
percent = 100
soak = "0s"
gates = []
"""


def models(house: House) -> dict[str, dict[str, Any]]:
    return {
        device["device"]: device["models"][0] for device in house.operator.asks("device", "list")
    }


def release_by_labels(house: House, version: str) -> None:
    """Releases a version with the golden set of labels: outputs of another model agree if both have
    the same class."""
    words = release_arguments(DIGITS, "v1", HOST)
    golden, file = (words[words.index(name) + 1] for name in ("--golden", "--file"))
    assert golden.endswith("labels.golden")
    new = {"v1": version, file: str(DIGITS / f"digits-{version}.tflite")}
    house.operator.asks(*(new.get(word, word) for word in words))


@pytest.mark.e2e
@pytest.mark.slow
def test_agreement_is_known_before_the_first_answer_and_the_trial_downloads_nothing(
    house: House, tmp_path: Path
) -> None:
    house.init()
    house.start_broker("embedded")
    house.start_service()
    house.release("v1")
    release_by_labels(house, "v2")
    parts = Parts(
        house.folder,
        house.operator.home / "root.json",
        house.broker_url,
        house.files,
        DIGITS / "heldout.npz",
    )
    parts.start(house.running, FLEET)
    operator = house.operator
    operator.waits(["device", "list"], lambda found: len(found) == len(FLEET))
    first = ("--stages", "100", "--soak", "0", "--trial", "0", "--deadline", "60")
    assert operator.shows("rollout", "start", "digits", "v1", *first) == 0
    assert operator.shows("rollout", "watch") == 0

    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)
    assert operator.shows("rollout", "start", "digits", "v2", "--plan", str(plan)) == 0
    shadow = _until_it_answers(house)
    assert (shadow["gate"], shadow["shadowed"]) == ("PASS", len(FLEET))
    assert re.search(r"agreement is [\d.]+ \(", shadow["reason"])
    assert operator.shows("rollout", "watch") == 0
    found = models(house)
    assert {(model["release"], model["outcome"]) for model in found.values()} == {(2, "SUCCEEDED")}
    assert bytes_written_in_stage(house, 2) == 0
    judged = operator.asks("rollout", "status")["judged"]
    assert judged[0]["gate"] == "agreement >= 0.5"
    assert judged[0]["harm"] > 0.5
    assert house.running.dead() == []


def bytes_written_in_stage(house: House, stage: int) -> int:
    """Returns how many bytes of models the devices have written since the stage opened."""
    events = house.operator.reads("rollout", "log", "2")
    opened = [event["at"] for event in events if event["kind"] == "opened"][stage - 1]
    since = datetime.fromisoformat(opened).timestamp()
    files = [file.stat() for file in (house.folder / "state").glob("*/*/[ab].*")]
    assert files
    return sum(file.st_size for file in files if file.st_mtime >= since)


def _until_it_answers(house: House) -> Any:
    """Returns the row of the shadow stage when its gate has decided. Until then no device's live
    release may be the new one."""
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        live = {model["release"] for model in models(house).values()}
        status = house.operator.asks("rollout", "status")
        row = status["rows"][0]
        if row["gate"] == "PASS":
            return row
        assert live == {1}, status
        assert status["status"] in ("NEW", "RUNNING"), (status["why"], status["problems"])
        time.sleep(0.5)
    raise AssertionError(f"the shadow has not ended: {status}")
