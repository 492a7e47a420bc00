"""`modelwave device`: enrols devices, shows single ones, tags and forgets them."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain, islice
from math import inf
from typing import Annotated, Any

import typer

from modelwave_controller.api import devices as calls
from modelwave_controller.api.devices import PAGE
from modelwave_controller.cli import device_past, later
from modelwave_controller.cli.amounts import milliseconds, number, percent
from modelwave_controller.cli.doors import Door, ask, door
from modelwave_controller.cli.later import Place
from modelwave_controller.cli.options import JsonOption
from modelwave_controller.operations import device_words, gateway_words
from modelwave_controller.operations.device_words import doing
from modelwave_controller.phrases import span
from modelwave_controller.results.devices import VIEW_TROUBLES, DevicePage
from modelwave_controller.terminal import (
    facts,
    print_json,
    safe,
    say,
    show,
    stream_json,
    stream_table,
    table,
)
from modelwave_controller.trust.field_types import require
from modelwave_shared import fields

app = typer.Typer(no_args_is_help=True)
# They bring what keys and databases need, which no other command here does.
LATER = {
    "enrol": Place(
        "enrol",
        "enrol",
        "Enrol devices: make their secrets, settings and the broker's list of users.",
    ),
    "revoke": Place(
        "enrol",
        "revoke",
        "Revoke devices: nothing from them counts any more, and the broker's list has them no "
        "longer.",
    ),
    "approve": Place(
        "enrol",
        "approve",
        "Let devices count that nobody enrolled, from their next report on.",
    ),
}
later.add(app, LATER)

DeviceArgument = Annotated[
    str, typer.Argument(metavar="DEVICE", show_default=False, help="Its id.")
]


def _release_number(text: str | int) -> int:
    if isinstance(text, int):
        return text
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise typer.BadParameter(
            f"{text[:40]!r} is no number of a release; see `modelwave release list`"
        )
    return int(text)


@app.command("list")
def list_devices(
    ctx: typer.Context,
    target: Annotated[str | None, typer.Option(help="Only devices of this target.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only devices with this tag.")] = None,
    model: Annotated[str | None, typer.Option(help="Only devices that report this model.")] = None,
    not_on: Annotated[
        int | None,
        typer.Option(
            parser=_release_number,
            metavar="RELEASE",
            help="Only devices on which another release of the model than this number is live, "
            "or none.",
        ),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Only devices that are offline or silent.")
    ] = False,
    trouble: Annotated[
        bool, typer.Option("--trouble", help="Only devices with a trouble, or silent ones.")
    ] = False,
    named: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only devices with this in their names.")
    ] = None,
    outcome: Annotated[
        str | None,
        typer.Option(metavar="WORD", help="Only devices with this last answer, such as FAILED."),
    ] = None,
    gateway: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only devices that are reached through this gateway."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, show_default="all", help="At most as many; --after goes on."),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(metavar="DEVICE", help="Only devices after this one in the list."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the known and the enrolled devices and what they run; of several filters all have to
    apply."""
    filters = {
        "target": target,
        "tag": tag,
        "model": model,
        "not_on": not_on,
        "offline": offline,
        "trouble": trouble,
        "named": named,
        "outcome": outcome,
        "gateway": gateway,
    }
    with door(ctx) as there:
        found = _Listed(there, filters, after, limit)
        if as_json:
            stream_json(found)
        else:
            _print_devices(found, time.time())
    if found.more:
        say(f"there are more: --after {safe(found.last or '')}", stderr=True)
    if not as_json:
        if found.last == after:
            of_all = after is None and not any(
                value not in (None, False) for value in filters.values()
            )
            say(_no_device(of_all), stderr=True)
        _warn(found.problem)


class _Listed:
    """The devices of the pages that a door gives, at most `limit`. `last`, `more`, `problem`: when
    all were read, the last device, whether others follow it, and why the database is not up to
    date."""

    def __init__(
        self, there: Door, filters: dict[str, Any], after: str | None, limit: int | None
    ) -> None:
        self._there, self._filters = there, filters
        self._left = inf if limit is None else limit
        self.last, self.more, self.problem = after, True, ""
        self._first = self._page()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        page = self._first
        while True:
            for device in page.devices:
                self.last = device["device"]
                yield device
            self.more, self._left = page.more, self._left - len(page.devices)
            if not self.more or self._left <= 0:
                return
            page = self._page()

    def _page(self) -> DevicePage:
        most = min(PAGE, self._left)
        found = ask(self._there, calls.LIST, **self._filters, after=self.last, limit=int(most))
        self.problem = found.problem
        return found


def _no_device(of_all: bool) -> str:
    if of_all:
        return "no device is known yet: `modelwave device enrol` makes what one needs"
    return "no device is like this: `modelwave device list` shows all"


def _print_devices(found: _Listed, now: float) -> None:
    columns = ["device", "target", "slot", "tags", "presence", "last report", "live", "trouble"]
    devices = iter(found)
    first = list(islice(devices, PAGE))
    more = {
        "gateway": any(device.get("via") for device in first),
        "view": any(device.get("view") in VIEW_TROUBLES for device in first),
    }
    columns[-1:-1] = [name for name, is_shown in more.items() if is_shown]
    stream_table(columns, (_row(device, now, more) for device in chain(first, devices)))


@app.command("show")
def show_device(ctx: typer.Context, device: DeviceArgument, as_json: JsonOption = False) -> None:
    """Show a device's last report, and what it observed of each model in its newest windows."""
    require(fields.name, device, "DEVICE")
    now = time.time()
    with door(ctx) as there:
        found = ask(there, calls.SHOW, device=device)
    if as_json:
        print_json(found)
        return
    show(facts(device_words.facts(found, now)))
    if found["models"]:
        columns = ("model", "release", "state", "order", "outcome", "reason")
        rows = [
            (
                m["model"],
                m["release"] or "none",
                doing(m, found["seen_at"], now),
                m["seq"],
                m["outcome"] or "–",
                m["reason"],
            )
            for m in found["models"]
        ]
        say("")
        show(table(columns, rows))
        for m in found["models"]:
            if m["saved"]:
                spared = f"{m['saved']:,} bytes less were downloaded"
                say(f"{safe(m['model'])} {m['release']} came as a delta: {spared}")
    if found["observed"]:
        observed = ("model", "observed", "release", "inferences", "failures", "accuracy", "latency")
        say("")
        show(table(observed, [_observed(one) for one in found["observed"]]))
    _warn(found["problem"])


@app.command("history")
def show_history(ctx: typer.Context, device: DeviceArgument, as_json: JsonOption = False) -> None:
    """Show what a device should run now, what it answered to its orders, what it measured in the
    last two days, and what was done to it.

    `fleet deployments --device DEVICE` says from when to when it ran which release; it reads the
    whole log."""
    require(fields.name, device, "DEVICE")
    with door(ctx) as there:
        found = ask(there, calls.HISTORY, device=device)
    if as_json:
        print_json(asdict(found))
    else:
        device_past.print_history(found)


@app.command("tag")
def tag_devices(
    ctx: typer.Context,
    devices: Annotated[
        list[str], typer.Argument(metavar="DEVICES", show_default=False, help="Their ids.")
    ],
    add: Annotated[list[str] | None, typer.Option(metavar="TAG", help="Several times too.")] = None,
    remove: Annotated[
        list[str] | None, typer.Option(metavar="TAG", help="Several times too.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Add tags to devices and remove others: words such as canary, by which you select devices."""
    for option, words in (("--add", add or []), ("--remove", remove or []), ("DEVICES", devices)):
        for word in words:
            require(fields.name, word, option)
    with door(ctx) as there:
        found = ask(there, calls.TAG, devices=devices, add=add or [], remove=remove or [])
    if as_json:
        print_json(found)
    else:
        show(table(("device", "tags"), [(d, ", ".join(tags) or "–") for d, tags in found.items()]))


@app.command()
def forget(ctx: typer.Context, device: DeviceArgument, as_json: JsonOption = False) -> None:
    """Forget a device that is gone for good.

    A device that was replaced or reinstalled needs this only if its agent is from before reports
    had an install id: its reports count as old until it is forgotten. A forgotten device is added
    again with its next report. Its tags are kept.
    """
    require(fields.name, device, "DEVICE")
    with door(ctx) as there:
        found = ask(there, calls.FORGET, device=device)
    if as_json:
        print_json(asdict(found))
        return
    tags = f"; its tags are kept: {', '.join(found.tags)}" if found.tags else ""
    say(
        f"device [bold]{safe(device)}[/] is forgotten until it reports again, within 18 minutes if "
        f"it is online{tags}"
    )


def _row(device: dict[str, Any], now: float, more: dict[str, bool]) -> list[object]:
    row = [device["device"], device_words.shown_target(device), device.get("slot", "")]
    row += [", ".join(device["tags"]), device_words.presence(device, now)]
    row.append(f"{span(now - device['seen_at'])} ago" if "target" in device else "")
    row.append(", ".join(f"{m['model']} {m['release'] or 'none'}" for m in device["models"]))
    its = {"gateway": gateway_words.of(device), "view": device.get("view")}
    row += [its[name] or "–" for name, is_shown in more.items() if is_shown]
    return [*row, device["trouble"]]


def _observed(one: dict[str, Any]) -> tuple[object, ...]:
    measured = f"in {span(one['seconds'])}, until {span(one['age_seconds'])} ago"
    return (
        one["model"],
        measured,
        f"{one['release']} in shadow" if one["shadow"] else one["release"],
        number(one["inferences"]),
        f"{percent(one['failed'])} ({number(one['failures'])})",
        _accuracy(one),
        milliseconds(one["median_ms"]),
    )


def _accuracy(one: dict[str, Any]) -> str:
    if one["shadow"]:
        agreed = f"{percent(one['agreement'])} of {number(one['compared'])} agreed"
        return agreed if one["compared"] else "nothing compared"
    return f"{percent(one['accuracy'])} of {number(one['labelled'])}" if one["labelled"] else "–"


def _warn(problem: str) -> None:
    if problem:
        say(f"[yellow]but[/]   {safe(problem)}", stderr=True)
