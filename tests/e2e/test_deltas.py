"""A fine-tuned model reaches hosts as a delta, with a real broker, service and agents."""

import os

import pytest

from modelwave_controller.demo.examples import release_arguments
from modelwave_controller.demo.fleet import HOST, Device, Parts
from tests.e2e.conftest import DIGITS, House
from tests.e2e.test_whole_path import PLAN

FLEET = [Device(f"pi-{n}", HOST, daemon=False) for n in (1, 2)]
WEIGHTS = (2000, 2500, 3000)  # bytes of v2's file that are weights


@pytest.mark.e2e
@pytest.mark.skipif(os.environ.get("MODELWAVE_LONG") != "1", reason="MODELWAVE_LONG=1 runs it")
def test_a_fine_tuned_model_is_downloaded_as_a_delta(house: House) -> None:
    house.init()
    house.start_broker("embedded")
    house.start_service()
    house.release("v2")
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
    assert operator.shows("rollout", "start", "digits", "v2", *PLAN) == 0
    assert operator.shows("rollout", "watch") == 0
    old = (DIGITS / "digits-v2.tflite").read_bytes()
    tuned = bytearray(old)
    for place in WEIGHTS:
        tuned[place] ^= 1
    file = house.folder / "tuned.tflite"
    file.write_bytes(tuned)
    arguments = [str(one) for one in release_arguments(DIGITS, "v2", HOST)]
    arguments[arguments.index("v2")] = "v2-tuned"
    arguments[arguments.index("--file") + 1] = str(file)
    operator.asks(*arguments)
    assert operator.shows("rollout", "start", "digits", "v2-tuned", *PLAN) == 0
    assert operator.shows("rollout", "watch") == 0
    saved = operator.asks("rollout", "status")["saved"]
    assert saved["devices"] == len(FLEET)
    assert saved["bytes"] > 0.98 * len(FLEET) * len(old)
