"""Tests that the fit of a model is decided before it is sent: releases of one model for two boards
and a host, whose needs the controller has read from the file, and devices with exactly enough, one
byte too little, or one operator too few. Agents on this machine play the boards."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelwave_controller.demo.processes import AGENT
from modelwave_controller.fit import analyse
from tests.e2e.conftest import DIGITS, House

MODEL = DIGITS / "digits-v2.tflite"
OPERATORS = ("FULLY_CONNECTED", "SOFTMAX")
PROFILES = {"rp2040": "cortex-m0plus:cmsis-nn", "nano33ble": "cortex-m4:cmsis-nn"}
PLAN = ("--stages", "100", "--soak", "0", "--trial-seconds", "0", "--deadline", "60")
ALL_MAY_REJECT = ("--max-rejected", "100", "--min-succeeded", "0")


@dataclass(frozen=True)
class Device:
    name: str
    target: str
    ram: int = 0  # 0: what is free
    kernels: tuple[str, ...] = ()


def arena(target: str) -> int:
    need = analyse(MODEL.read_bytes(), PROFILES[target]).need
    assert need is not None
    return need


def fleet() -> list[Device]:
    pico, nano = arena("rp2040"), arena("nano33ble")
    return [
        Device("pico-exact", "rp2040", pico, OPERATORS),
        Device("pico-byte-short", "rp2040", pico - 1, OPERATORS),
        Device("nano-exact", "nano33ble", nano, (*OPERATORS, "CONV_2D")),
        Device("nano-no-softmax", "nano33ble", nano, ("FULLY_CONNECTED", "CONV_2D")),
        Device("nano-neither", "nano33ble", nano - 1, ("CONV_2D",)),
        Device("pi", "linux-cpu"),
    ]


def release(house: House, target: str) -> dict[str, Any]:
    """Signs the model for a target, without a word on what it needs."""
    made = house.operator.asks(
        *("release", "create", "digits", "v2", "--target", target, "--yes"),
        *("--file", str(MODEL), "--golden", str(DIGITS / "digits-v2.golden")),
        *("--steps", "any=8", "--dataset", "digits", "--quantisation", "int8"),
    )
    needs: dict[str, Any] = made["manifest"]["needs"]
    return needs


def start(house: House, device: Device) -> None:
    path = house.folder / f"{device.name}.toml"
    kernels = ", ".join(f'"{name}"' for name in device.kernels)
    path.write_text(
        f'device = "{device.name}"\ntarget = "{device.target}"\nmodels = ["digits"]\n'
        f'state = "{house.folder / "state" / device.name}"\n'
        f'root = "{house.operator.home / "root.json"}"\n'
        f'[broker]\nurl = "{house.broker_url}"\n[download]\nhosts = ["{house.files}"]\n'
        f"[limits]\nram_bytes = {device.ram}\nkernels = [{kernels}]\n"
    )
    house.running.start(device.name, [*AGENT, "run", "--config", str(path)])


def outcomes(found: Any) -> dict[str, tuple[str, str]]:
    return {
        device["device"]: (model["outcome"], model["reason"])
        for device in found
        for model in device["models"]
    }


@pytest.mark.e2e
def test_devices_take_what_fits_and_reject_with_the_byte_or_the_operator_they_lack(
    house: House,
) -> None:
    house.init()
    needs = {target: release(house, target) for target in (*PROFILES, "linux-cpu")}
    for target in PROFILES:
        assert needs[target]["ram"] == arena(target)
        assert needs[target]["kernels"] == list(OPERATORS)
    house.start_broker("embedded")
    house.start_service()
    devices = fleet()
    for device in devices:
        start(house, device)
    operator = house.operator
    heard = operator.waits(["device", "list"], lambda found: len(found) == len(devices))
    assert {device["device"] for device in heard} == {device.name for device in devices}

    assert operator.shows("rollout", "start", "digits", "v2", *PLAN, *ALL_MAY_REJECT) == 0
    found = operator.waits(
        ["device", "list"],
        lambda found: all(outcome for outcome, _ in outcomes(found).values()),
    )
    said = outcomes(found)
    for name in ("pico-exact", "nano-exact", "pi"):
        assert said[name] == ("SUCCEEDED", ""), name
    pico, nano = arena("rp2040"), arena("nano33ble")
    byte = "ram: 1 bytes missing (needs {0}, has {1})".format
    assert said["pico-byte-short"] == ("REJECTED", f"fit: {byte(pico, pico - 1)}")
    assert said["nano-no-softmax"] == ("REJECTED", "fit: kernels: lacks SOFTMAX")
    assert said["nano-neither"] == (
        "REJECTED",
        f"fit: {byte(nano, nano - 1)}; kernels: lacks FULLY_CONNECTED, SOFTMAX",
    )
    releases = {d["device"]: d["models"][0]["release"] for d in found}
    assert {name for name, number in releases.items() if number} == {
        "pico-exact",
        "nano-exact",
        "pi",
    }
    assert house.running.dead() == []
    assert not any(_banks(house.folder / "state" / "pico-byte-short"))


def _banks(state: Path) -> list[Path]:
    """Model files, of which a device that rejected has none."""
    return list((state / "digits").glob("*.model"))
