"""Tests a whole rollout with real parts and Mosquitto; MODELWAVE_LONG=1: with the embedded broker
too, which most other tests use."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from modelwave_controller.demo.fleet import HOST, Device, Parts
from modelwave_shared import documents, dsse, roles
from tests.e2e.conftest import DIGITS, House
from tests.tools import needed

LONG = os.environ.get("MODELWAVE_LONG") == "1"
PLAN = (
    "--soak",
    "0",
    "--trial-seconds",
    "0",
    "--deadline",
    "60",
    "--max-rolled-back",
    "20",
    "--least-devices",
    "1",
)
FLEET = [Device(f"pi-{n}", HOST, daemon=n == 1) for n in range(1, 7)]


def start_fleet(house: House) -> None:
    parts = Parts(
        house.folder,
        house.operator.home / "root.json",
        house.broker_url,
        house.files,
        DIGITS / "heldout.npz",
    )
    parts.start(house.running, FLEET)
    found = house.operator.waits(["device", "list"], lambda found: len(found) == len(FLEET))
    assert len(found) == len(FLEET)


def live_releases(found: Any) -> set[tuple[int, str]]:
    return {(m["release"], m["state"]) for device in found for m in device["models"]}


@pytest.mark.e2e
@pytest.mark.parametrize("broker", ["mosquitto", *(["embedded"] if LONG else [])])
def test_good_model_reaches_the_fleet_in_waves_and_a_bad_one_comes_back(
    house: House, broker: str
) -> None:
    house.init()
    house.start_broker(broker)
    house.start_service()
    for version, more in (
        ("v1", ()),
        ("v2", ()),
        ("v3", ("--force", "to see devices refuse it")),
    ):
        house.release(version, *more)
    start_fleet(house)
    operator = house.operator

    for number, version in ((1, "v1"), (2, "v2")):
        assert operator.shows("rollout", "start", "digits", version, *PLAN) == 0
        assert operator.shows("rollout", "watch") == 0
        rows = operator.asks("rollout", "status")["rows"]
        assert [row["gate"] for row in rows] == ["PASS"] * 4
        assert sum(row["succeeded"] for row in rows) == len(FLEET)
        found = operator.asks("device", "list")
        assert live_releases(found) == {(number, "idle")}

    assert operator.shows("rollout", "start", "digits", "v3", *PLAN) == 0
    assert operator.shows_outside("rollout", "watch") == 3  # REVERTED
    status = operator.asks("rollout", "status")
    assert status["status"] == "REVERTED"
    assert [row["rolled_back"] for row in status["rows"]][:4] == [1, 0, 0, 0]
    assert [row["devices"] for row in status["rows"]][1:4] == [0, 0, 0]
    assert "golden set" in status["problems"][0]["reason"]
    assert live_releases(operator.asks("device", "list")) == {(2, "idle")}
    assert house.running.dead() == []
    check_signatures(house, next_order(house))


def next_order(house: House) -> bytes:
    """What the broker retains for a device that would join now."""
    import paho.mqtt.subscribe as subscribe

    host, _, port = house.broker_url.removeprefix("mqtt://").partition(":")
    topic = "modelwave/1/demo/desired/linux-cpu/digits/all"
    message = subscribe.simple(topic, hostname=host, port=int(port), keepalive=20)
    return bytes(message.payload)


def check_signatures(house: House, desired: bytes) -> None:
    """Checks the signatures with tools of others: securesystemslib and OpenSSL."""
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    root = documents.read(
        "root", dsse.read((house.operator.home / "root.json").read_bytes()).payload
    )
    for kind, line in zip(("order", "manifest"), desired.split(b"\n"), strict=True):
        keys, threshold = roles.role_keys(root, kind)
        outside = Envelope.from_dict(json.loads(line))
        made = [
            SSlibKey(name, "ed25519", "ed25519", {"public": raw.hex()})
            for name, raw in keys.items()
        ]
        assert outside.verify(made, threshold)
        folder = house.folder / kind
        envelope = house.folder / f"{kind}.json"
        envelope.write_bytes(line)
        assert house.operator.shows("key", "verify", str(envelope), "--dump", str(folder)) == 0
        openssl(folder, next(iter(keys)))


def openssl(folder: Path, keyid: str) -> None:
    signed = folder / "signed"
    command = [needed("openssl"), "pkeyutl", "-verify", "-rawin", "-pubin"]
    command += ["-inkey", str(folder / f"{keyid}.pem")]
    command += ["-sigfile", str(folder / f"{keyid}.sig"), "-in", str(signed)]
    assert subprocess.run(command, check=False).returncode == 0
    signed.write_bytes(signed.read_bytes() + b" ")
    assert subprocess.run(command, check=False).returncode != 0
