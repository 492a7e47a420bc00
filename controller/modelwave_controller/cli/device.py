"""`modelwave device`: shows what is known about single devices, and forgets devices."""

import time
from typing import Annotated, Any

import typer

from modelwave_controller.cli.options import JsonOption, actor, home_of
from modelwave_controller.cli.stores import opened_store
from modelwave_controller.operations import acts, overview
from modelwave_controller.phrases import plural, span
from modelwave_controller.terminal import facts, print_json, safe, say, show, table
from modelwave_controller.trust.documents import require
from modelwave_shared import fields

app = typer.Typer(no_args_is_help=True, help="Show single devices, and forget them.")

DeviceArgument = Annotated[str, typer.Argument(show_default=False, help="Its id.")]


@app.command("list")
def list_devices(
    ctx: typer.Context,
    target: Annotated[str | None, typer.Option(help="Only devices of this target.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the known devices and what they run."""
    with opened_store(ctx) as store, store.read() as connection:
        found = overview.device_list(connection, target)
    if as_json:
        print_json(found)
        return
    now = time.time()
    columns = ("device", "target", "slot", "presence", "last report", "live", "trouble")
    show(table(columns, [_row(device, now) for device in found]))


@app.command("show")
def show_device(ctx: typer.Context, device: DeviceArgument, as_json: JsonOption = False) -> None:
    """Show a device's last report."""
    require(fields.name, device, "DEVICE")
    with opened_store(ctx) as store, store.read() as connection:
        found = overview.device(connection, device)
    if as_json:
        print_json(found)
        return
    show(facts(_facts(found, time.time())))
    if found["models"]:
        columns = ("model", "release", "state", "order", "outcome", "reason")
        rows = [
            (m["model"], m["release"], m["state"], m["seq"], m["outcome"] or "–", m["reason"])
            for m in found["models"]
        ]
        say("")
        show(table(columns, rows))


@app.command()
def forget(ctx: typer.Context, device: DeviceArgument, as_json: JsonOption = False) -> None:
    """Forget a device that is gone for good, or that was reinstalled.

    After a reinstallation a device numbers its reports from the start again, and they count as
    old until it is forgotten. A forgotten device is added again with its next report.
    """
    require(fields.name, device, "DEVICE")
    home = home_of(ctx)
    with opened_store(ctx) as store, store.write() as connection:
        acts.forget(connection, home.config.fleet, device, time.time(), actor())
    if as_json:
        print_json({"device": device, "forgotten": True})
    else:
        say(f"device [bold]{safe(device)}[/] is forgotten until it reports again")


def _row(device: dict[str, Any], now: float) -> tuple[object, ...]:
    live = ", ".join(f"{m['model']} {m['release'] or 'none'}" for m in device["models"])
    presence = _presence(device, now)
    if "target" not in device:
        return (device["device"], "unknown", "", presence, "", "", _trouble(device))
    seen = f"{span(now - device['seen_at'])} ago"
    place = (device["device"], device["target"], device["slot"], presence)
    return (*place, seen, live, _trouble(device))


def _presence(device: dict[str, Any], now: float) -> str:
    if device["silent_since"] is not None:
        return f"silent for {span(now - device['silent_since'])}"
    return "online" if device["online"] else "offline"


def _trouble(device: dict[str, Any]) -> str:
    """Returns the most important problem of a device, or "": ignored old reports first, because
    with them everything else about the device may be out of date."""
    if device.get("stale"):
        return f"{plural(device['stale'], 'old report')} ignored"
    if device["bad"]:
        return f"{plural(device['bad']['count'], 'message')} not understood"
    failing = [m for m in device["models"] if m["outcome"] not in ("", "SUCCEEDED")]
    if failing:
        return f"{failing[0]['model']}: {failing[0]['outcome']}"
    return (device.get("refused") and "refused a message") or ""


def _facts(device: dict[str, Any], now: float) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [
        ("device", device["device"]),
        ("presence", _presence(device, now)),
    ]
    if "target" in device:
        runtime = f"{device['runtime'] or 'none'} {device['runtime_version']}".strip()
        rows += [
            ("target", device["target"]),
            ("slot", device["slot"]),
            ("last report", f"{span(now - device['seen_at'])} ago"),
            ("boot, report", f"{device['boot']}, {device['n']}"),
            ("agent", device["agent"]),
            ("reads", ", ".join(f"{kind} v {v}" for kind, v in device["reads"].items())),
            ("free flash", f"{device['free_flash']:,} bytes"),
            ("free RAM", f"{device['free_ram']:,} bytes, largest piece"),
            ("runtime", runtime),
            ("accelerator", device["accelerator"] or "none"),
        ]
        if device["refused"]:
            rows.append(("last refusal", device["refused"]))
        if device["stale"]:
            rows.append(
                (
                    "old reports",
                    f"{device['stale']} older than this one were ignored; if the device was "
                    f"reinstalled, run: modelwave device forget {device['device']}",
                )
            )
    if device["bad"]:
        bad = device["bad"]
        when = span(now - bad["at"])
        rows.append(("not understood", f"{bad['count']}; {when} ago: {bad['reason']}"))
    return rows
