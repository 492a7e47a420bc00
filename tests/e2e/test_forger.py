"""Somebody has the broker, and says in the name of each device that the new release was rolled
back."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from modelwave_controller.demo.fleet import HOST, Device, Parts
from modelwave_shared import proofs
from tests.e2e.conftest import DIGITS, FLEET, House
from tests.trust.figures import tell

PLAN = (
    *("--soak", "2", "--trial-seconds", "0", "--deadline", "60", "--max-rolled-back", "20"),
    *("--least-devices", "1"),
)
DEVICES = [Device(f"pi-{n}", HOST, daemon=False) for n in range(1, 4)]


@dataclass(frozen=True)
class NamedParts(Parts):
    """Devices that have the report keys of `device enrol`."""

    enrolled: Path = field(default_factory=Path)

    def configure(self, device: Device) -> None:
        super().configure(device)
        path, key = self.config(device), self.enrolled / device.name / "report.key"
        path.write_text(f'report_key_file = "{key}"\n{path.read_text()}')


@contextmanager
def forger(house: House, from_seq: int) -> Iterator[None]:
    """Answers each report about an order of `from_seq` or above with one that says ROLLED_BACK."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2)

    def lie(_client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        document, proof = proofs.split(bytes(message.payload))
        report = json.loads(document)
        model = report["models"].get("digits", {})
        if report["agent"] != "forged" and model.get("seq", 0) >= from_seq:
            report |= {"agent": "forged", "n": report["n"] + 1000}
            model |= {"outcome": "ROLLED_BACK", "reason": "forged", "state": "idle"}
            line = json.dumps(report).encode()
            client.publish(message.topic, line + b"\n" + proof if proof else line, 1, True)

    client.on_message = lie
    host, _, port = house.broker_url.removeprefix("mqtt://").partition(":")
    client.connect(host, int(port))
    client.subscribe(f"modelwave/1/{FLEET}/reported/+", 1)
    client.loop_start()
    try:
        yield
    finally:
        client.disconnect()
        client.loop_stop()


@pytest.mark.e2e
@pytest.mark.parametrize(("proof", "status"), [("off", "REVERTED"), ("require", "FINISHED")])
def test_forged_roll_backs_take_a_release_back_only_where_no_proof_is_required(
    house: House, proof: str, status: str
) -> None:
    house.init()
    house.start_broker("mosquitto")
    settings = house.operator.home / "controller.toml"
    settings.write_text(settings.read_text().replace('proof = "off"', f'proof = "{proof}"'))
    house.start_service()
    for version in ("v1", "v2"):
        house.release(version)
    operator, enrolled = house.operator, house.folder / "enrolled"
    names = [device.name for device in DEVICES]
    made = ("--target", HOST, "--model", "digits", "--out", str(enrolled))
    assert operator.shows("device", "enrol", *names, *made) == 0
    parts = NamedParts(
        house.folder,
        operator.home / "root.json",
        house.broker_url,
        house.files,
        DIGITS / "heldout.npz",
        enrolled,
    )
    parts.start(house.running, DEVICES)
    heard = operator.waits(["device", "list"], lambda found: all("target" in one for one in found))
    assert len(heard) == len(DEVICES)
    operator.shows("rollout", "start", "digits", "v1", *PLAN)
    assert operator.shows("rollout", "watch") == 0
    seq = max(m["seq"] for one in operator.asks("device", "list") for m in one["models"])
    with forger(house, seq + 1):
        operator.shows("rollout", "start", "digits", "v2", *PLAN)
        operator.shows("rollout", "watch")
    assert operator.asks("rollout", "status")["status"] == status
    lies = sum(
        (one["unproven"] or {"count": 0})["count"] for one in operator.asks("device", "list")
    )
    assert (lies > 0) == (proof == "require")
    tell(f"forged roll-backs with proof {proof}: {status}, {lies} told as not proven")
