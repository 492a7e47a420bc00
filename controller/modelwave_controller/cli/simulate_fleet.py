"""`modelwave simulate fleet`: simulated devices at the broker of a home, whose service runs."""

import sys
import time
from contextlib import closing
from dataclasses import replace
from math import inf
from typing import Annotated, Any

import typer

from modelwave_controller import phrases
from modelwave_controller.cli.options import JsonOption, home_of
from modelwave_controller.errors import OperatorError
from modelwave_controller.home import Home
from modelwave_controller.interruption import Interrupted
from modelwave_controller.load.gateway import Turns
from modelwave_controller.load.observing import Observing
from modelwave_controller.load.processes import MAX_DEVICES_OF_A_PROCESS, Processes, shares
from modelwave_controller.load.tally import COUNTS, Tally
from modelwave_controller.load.worker import Work
from modelwave_controller.service.broker_address import broker_of
from modelwave_controller.storage import names
from modelwave_controller.storage.store import Store
from modelwave_controller.terminal import facts, plain, print_json, show, table
from modelwave_controller.trust.field_types import require
from modelwave_shared import fields

MAX_DEVICES, MAX_PROCESSES, MAX_GATEWAYS = 200_000, 64, 10_000
LEAST_WINDOW_MINUTES = 0.05
TELL_SECONDS = 2.0

DevicesOption = Annotated[int, typer.Option(min=1, max=MAX_DEVICES, help="So many devices.")]


def fleet(
    ctx: typer.Context,
    devices: DevicesOption,
    target: Annotated[str, typer.Option(help="The target of all of them.")] = "linux-cpu",
    model: Annotated[str, typer.Option(help="The model that they wait for.")] = "digits",
    prefix: Annotated[
        str, typer.Option(help="Their names are this and a number, from --first on.")
    ] = "sim-",
    first: Annotated[int, typer.Option(min=0, max=10**9, help="The number of the first.")] = 0,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_PROCESSES,
            help=f"Processes of devices. (default: one for {MAX_DEVICES_OF_A_PROCESS:,} each)",
        ),
    ] = None,
    update_seconds: Annotated[
        float, typer.Option(min=0, max=3600, help="An update takes up to so long.")
    ] = 10,
    rolled_back: Annotated[
        float, typer.Option(min=0, max=100, help="Percent of the updates that are rolled back.")
    ] = 0,
    report_minutes: Annotated[
        float, typer.Option(min=0.1, max=1440, help="From one report of a device to the next.")
    ] = 15,
    window_minutes: Annotated[
        float,
        typer.Option(min=0, max=1440, help="The length of their windows of observations; 0: none."),
    ] = 15,
    inferences: Annotated[
        int, typer.Option(min=1, max=10_000, help="In each window, all of them labelled.")
    ] = 100,
    gateways: Annotated[
        int,
        typer.Option(min=0, max=MAX_GATEWAYS, help="So many speak for them; 0: none."),
    ] = 0,
    gateway_up_minutes: Annotated[
        float,
        typer.Option(min=0, max=1440, help="A gateway goes down after about so long; 0: never."),
    ] = 0,
    gateway_down_minutes: Annotated[
        float, typer.Option(min=0.01, max=1440, help="It comes back after about so long.")
    ] = 5,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32, help="Equal ones give equal observations.")
    ] = 0,
    seconds: Annotated[
        float | None, typer.Option(min=1, help="End after so long. (default: at Ctrl-C)")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also in a home that has other devices.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Connect simulated devices to the home's broker, to size it before devices depend on it.

    They connect, subscribe, report and reconnect as agents do, and verify orders; they fetch no
    files and run no model. Their windows are made up: about as right as the release is on held-out
    data, and slower with larger models. Start `modelwave serve` and a rollout in another terminal.
    At the end, also after Ctrl-C, they clear what the broker retains of them; the service goes on
    to know them.
    """
    home = home_of(ctx)
    for value, where in ((target, "--target"), (model, "--model")):
        require(fields.name, value, where)
    require(fields.name, f"{prefix}{first + devices}", "--prefix")
    if 0 < window_minutes < LEAST_WINDOW_MINUTES:
        raise OperatorError(
            f"--window-minutes: at least {LEAST_WINDOW_MINUTES}, or 0 for no windows"
        )
    if gateways > devices:
        raise OperatorError(f"--gateways: at most one for each of the {devices} devices")
    if not force:
        _require_a_trial_home(home, prefix)
    work = _work(home, target, model, prefix, first, devices)
    work = replace(
        work,
        update_seconds=update_seconds,
        rolled_back=rolled_back / 100,
        report_seconds=report_minutes * 60,
        observing=Observing(window_minutes * 60, inferences, seed),
        gateways=gateways,
        turns=Turns(gateway_up_minutes * 60, gateway_down_minutes * 60),
    )
    number = processes or -(-devices // MAX_DEVICES_OF_A_PROCESS)
    running = Processes(shares(work, min(number, gateways or number)))
    code = 0
    try:
        with running:
            _watch(running, devices, seconds)
    except Interrupted as error:
        code = error.exit_code
    if as_json:
        print_json(_json(running.total(), devices))
    else:
        _print(running.total(), devices)
    return code


def _require_a_trial_home(home: Home, prefix: str) -> None:
    """Raises OperatorError if the home's rollouts are about other devices too: what simulated ones
    answer would count for these."""
    with closing(Store(home.database_url)) as store, store.read() as connection:
        others = names.count_others(connection, prefix)
    if others:
        raise OperatorError(
            f"this home has {phrases.plural(others, 'device')} whose names do not begin with "
            f"{prefix}: simulated ones would count in their rollouts; make a home for trials "
            "(modelwave init), or add --force"
        )


def _work(home: Home, target: str, model: str, prefix: str, first: int, devices: int) -> Work:
    broker = broker_of(home)
    tls = broker.tls
    return Work(
        host=broker.host,
        port=broker.port,
        tls=[tls.ca_file, tls.certificate, tls.key] if tls else None,
        user=broker.user,
        password=broker.password,
        source="",
        root=home.root_document,
        fleet=home.config.fleet,
        target=target,
        model=model,
        prefix=prefix,
        first=first,
        devices=devices,
        update_seconds=0,
        rolled_back=0,
        report_seconds=0,
    )


def _watch(running: Processes, devices: int, seconds: float | None) -> None:
    """Says what happens until the time is over."""
    screen = sys.stderr.isatty()
    end = time.monotonic() + seconds if seconds else inf
    shown = ""
    try:
        for tally in running.tallies(TELL_SECONDS):
            words = _line(tally, devices)
            if screen or words != shown:
                print(
                    f"\r\x1b[K{words}" if screen else words,
                    end="" if screen else "\n",
                    file=sys.stderr,
                )
                sys.stderr.flush()
            shown = words
            if time.monotonic() >= end:
                break
    finally:
        print("\n" * screen + "The devices leave …", file=sys.stderr, flush=True)


def _line(tally: Tally, devices: int) -> str:
    parts = [f"{tally.connected:,} of {devices:,} connected"]
    if tally.waves:
        name, wave = max(tally.waves.items(), key=lambda item: item[1].first)
        parts.append(f"order {_number(name)}: {phrases.plural(wave.devices, 'device')}")
    for count, word in (
        (tally.succeeded, "succeeded"),
        (tally.rolled_back, "rolled back"),
        (tally.refused, "orders refused"),
        (tally.lost, "connections lost"),
        (tally.gateways_down, "gateways went down"),
    ):
        if count:
            parts.append(f"{count:,} {word}")
    if tally.problem and tally.connected < devices:
        parts.append(plain(tally.problem))
    return ", ".join(parts)


def _gateways(tally: Tally) -> list[tuple[str, str]]:
    times = phrases.plural(tally.gateways_down, "time")
    return [("a gateway went down", times)] if tally.gateways_down else []


def _number(name: str) -> str:
    """Returns how people are shown the number of an order: without epoch 0."""
    model, epoch, seq = name.rsplit("/", 2)
    return f"{model} {seq}" if epoch == "0" else f"{model} {epoch}/{seq}"


def _json(tally: Tally, devices: int) -> dict[str, Any]:
    waves = [
        {"order": name, "devices": wave.devices, "seconds": round(wave.last - wave.first, 3)}
        for name, wave in sorted(tally.waves.items(), key=lambda item: item[1].first)
    ]
    counts = {name: getattr(tally, name) for name in COUNTS if name != "connected"}
    return {"devices": devices} | counts | {"waves": waves, "problem": tally.problem}


def _print(tally: Tally, devices: int) -> None:
    said = _json(tally, devices)
    show(
        facts(
            [
                ("connected, at most", f"{tally.most_connected:,} of {devices:,}"),
                ("reports", f"{tally.reports:,}"),
                ("windows", f"{tally.windows:,}"),
                ("messages received", f"{tally.received:,}"),
                ("connections lost", f"{tally.lost:,}"),
                ("orders refused", f"{tally.refused:,}"),
                ("succeeded", f"{tally.succeeded:,}"),
                ("rolled back", f"{tally.rolled_back:,}"),
                *_gateways(tally),
                *([("last problem", tally.problem)] if tally.problem else []),
            ]
        )
    )
    rows = [
        (_number(o["order"]), f"{o['devices']:,}", f"{o['seconds']:.2f} s") for o in said["waves"]
    ]
    if rows:
        show(table(("order", "devices", "from the first to the last"), rows))
