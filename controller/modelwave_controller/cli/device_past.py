"""Prints a device's history."""

from collections.abc import Iterable, Sequence

from modelwave_controller.cli.amounts import milliseconds, number, percent
from modelwave_controller.phrases import moment, span
from modelwave_controller.results.device_history import DeviceHistory, DeviceWindow
from modelwave_controller.terminal import say, show, table


def print_history(found: DeviceHistory) -> None:
    _part("should run", ("model", "release", "rollout", "order", "taken"), _orders(found))
    _part(
        "answered",
        ("ordered", "rollout", "part", "release", "order", "outcome", "reason"),
        _answers(found),
    )
    if found.more_answers:
        say("older answers are left out")
    _part(
        "measured",
        ("model", "release", "ended", "inferences", "failures", "accuracy", "latency"),
        [_window(one) for one in found.windows],
    )
    _part(
        "noted",
        ("when", "who", "what"),
        [(moment(one.at), one.actor, one.what) for one in found.acts],
    )


def _part(name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    rows = list(rows)
    say(f"[bold]{name}[/]" if rows else f"[bold]{name}[/] nothing")
    if rows:
        show(table(columns, rows))


def _orders(found: DeviceHistory) -> Iterable[tuple[object, ...]]:
    for one in found.orders:
        how = ", for it alone" if one.alone else ""
        how += ", in shadow" if one.shadow else ""
        order, taken = f"{one.number}{how}", "yes" if one.taken else "not yet"
        yield one.model, f"{one.release} ({one.version})", one.rollout, order, taken


def _answers(found: DeviceHistory) -> Iterable[tuple[object, ...]]:
    for one in found.answers:
        when = "–" if one.ordered_at is None else moment(one.ordered_at)
        release = f"{one.model} {one.release or '?'}"
        outcome = one.outcome or "awaited"
        yield when, one.rollout, one.part, release, one.number, outcome, one.reason


def _window(one: DeviceWindow) -> tuple[object, ...]:
    right = f"{percent(one.correct / one.labelled)} of {number(one.labelled)}"
    return (
        one.model,
        f"{one.release} in shadow" if one.shadow else one.release,
        f"{span(one.age_seconds)} ago",
        number(one.inferences),
        number(one.failures),
        right if one.labelled else "–",
        milliseconds(one.median_ms),
    )
