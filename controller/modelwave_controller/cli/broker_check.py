"""`modelwave broker check`."""

import tomllib
from pathlib import Path
from typing import Any

import typer

from modelwave_controller import disk
from modelwave_controller.cli.options import home_of
from modelwave_controller.cli.progress import progress
from modelwave_controller.cli.stores import opened_store
from modelwave_controller.errors import OperatorError
from modelwave_controller.home import MAX_CONFIG_BYTES, BrokerSettings
from modelwave_controller.phrases import plural
from modelwave_controller.service.broker_address import address_of, broker_of
from modelwave_controller.service.broker_check import Check
from modelwave_controller.service.broker_rules import Device, Finding
from modelwave_controller.storage import reporting
from modelwave_controller.terminal import print_json, say, show, table

LEAST_DEVICES = 100


def check_broker(
    ctx: typer.Context, devices: int | None, device: Path | None, as_json: bool
) -> bool:
    """Shows what is missing of the broker; returns whether nothing is."""
    home = home_of(ctx)
    settings = broker_of(home)
    if devices is None:
        with opened_store(ctx) as store, store.read() as connection:
            devices = max(LEAST_DEVICES, len(reporting.devices_heard(connection)))
    own = _device(device) if device else None
    with progress() as tell:
        found = list(Check(settings, home.config.fleet, devices, own, tell).run())
    missing = [one for one in found if not one.holds]
    if as_json:
        print_json([one._asdict() for one in found])
    else:
        _print(found, missing)
    return not missing


def _print(found: list[Finding], missing: list[Finding]) -> None:
    rows = [("yes" if one.holds else "NO", one.what, one.seen, one.mend) for one in found]
    show(table(("", "what", "seen", "what mends it"), rows))
    say("")
    say(f"{plural(len(missing), 'thing')} missing" if missing else "nothing is missing")


def _device(folder: Path) -> Device:
    """Reads the folder of an enrolled host."""
    file = folder / "agent.toml"
    try:
        found: dict[str, Any] = tomllib.loads(
            disk.read_input(file, "--device", MAX_CONFIG_BYTES).decode()
        )
        settings = BrokerSettings.model_validate(found["broker"])
        return Device(found["device"], found["target"], address_of(settings, folder))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise OperatorError(
            f"--device: {file}: not the settings of an enrolled host: {error}"
        ) from error
