"""`modelwave fleet`: shows the state of the fleet, and its log."""

from dataclasses import asdict

import typer

from modelwave_controller.api import fleet as calls
from modelwave_controller.cli.deployments import fleet_deployments
from modelwave_controller.cli.doors import ask, door
from modelwave_controller.cli.log import fleet_log
from modelwave_controller.cli.options import JsonOption
from modelwave_controller.operations import troubles
from modelwave_controller.phrases import plural
from modelwave_controller.results.fleet import Fleet, ReleaseSums, ShadowSums
from modelwave_controller.terminal import facts, print_json, say, show, table

app = typer.Typer(no_args_is_help=True)
app.command("log")(fleet_log)
app.command("deployments")(fleet_deployments)


@app.command()
def status(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Show devices by target, live releases, and the sums of their inferences."""
    with door(ctx) as there:
        found = ask(there, calls.STATUS)
    if as_json:
        print_json(asdict(found))
    else:
        _print(found)


def _print(found: Fleet) -> None:
    targets = ", ".join(f"{number} {target}" for target, number in found.targets.items())
    running = ", ".join(
        f"{entry['rollout']} ({entry['model'] or 'unknown'}) {entry['status']}"
        for entry in found.rollouts
    )
    silent = f", {found.silent} of them silent" if found.silent else ""
    online = f"{found.online} online{silent}"
    if found.online is None:
        online = "how many are online is unknown"
    head = [
        ("fleet", found.fleet),
        ("devices", f"{plural(found.devices, 'device')}, {online}"),
        ("targets", targets or "none yet"),
        ("rollouts", running or "none under way"),
    ]
    if found.problem:
        head.append(("but", found.problem))
    else:
        head.append(("service", _service(found)))
    if found.shares:
        head.append(("shares", _shares(found)))
    head += troubles.of(found)
    show(facts(head))
    if found.live:
        rows = [(e["model"], e["release"] or "none", e["devices"]) for e in found.live]
        say("")
        show(table(("model", "live release", "devices"), rows))
    _print_sums(found)


def _print_sums(found: Fleet) -> None:
    if found.metrics:
        columns = ("model", "release", "devices", "inferences", "failures", "accuracy")
        sums = [
            (s.model, s.release, s.devices, s.inferences, s.failures, _accuracy(s))
            for s in found.metrics
        ]
        say("")
        show(table(columns, sums))
    if found.shadows:
        columns = ("model", "in shadow", "devices", "inferences", "failures", "agreement")
        sums = [
            (s.model, s.release, s.devices, s.inferences, s.failures, _agreement(s))
            for s in found.shadows
        ]
        say("")
        show(table(columns, sums))


def _service(found: Fleet) -> str:
    who = f" (process {found.leader['pid']} on {found.leader['host']})" if found.leader else ""
    return f"runs{who}{', and is connected to the broker' if found.link['connected'] else ''}"


def _shares(found: Fleet) -> str:
    """Says which ingest process receives which share of the devices."""
    who = (f"process {one['pid']} on {one['host']}" if one["pid"] else "" for one in found.shares)
    return ", ".join(f"{n} by {one or 'nobody'}" for n, one in enumerate(who, 1))


def _accuracy(sums: ReleaseSums) -> str:
    if sums.accuracy is None:
        return "no labels"
    return f"{100 * sums.accuracy:.1f} % of {sums.labelled} labelled"


def _agreement(sums: ShadowSums) -> str:
    if sums.agreement is None:
        return "nothing compared"
    return f"{100 * sums.agreement:.1f} % of {sums.compared} compared"
