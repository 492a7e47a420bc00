"""How long API and page take to answer at 10,000 known devices with a rollout under way, for one
who asks and for eight who ask meanwhile: each again half a second after its last answer, which is
oftener than a page does that follows a rollout live. The service is `modelwave serve` with its
broker, and ticks.

A figure is the time within which 95 of 100 answers are there. The detail has the median, and the
time that the service's process has run for an answer, which other work of the machine changes
little."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from statistics import median, quantiles

from benchmarks.api.known_service import KnownService, cpu_seconds, known_service
from benchmarks.api.visitor import Visitor
from benchmarks.scale.row import Row

DEVICES = 10_000
GOAL_MILLISECONDS = 150.0
TIMES = 60  # that one asks for each path
AT_ONCE, EACH = 8, 12  # who asks at once, and how often each of them for each path
PAUSE_SECONDS = 0.5

API = {
    "device list": "/api/v1/devices?limit=100",
    "device": "/api/v1/devices/d7",
    "rollout": "/api/v1/rollouts/1",
    "fleet": "/api/v1/fleet",
}
PAGES = {
    "device list": "/devices",
    "device": "/devices/d7",
    "rollout": "/rollouts/1",
    "fleet": "/",
}


def rows(long: bool) -> Iterator[Row]:
    more = 4 if long else 1
    with known_service(DEVICES, 2 + 2 * AT_ONCE) as service:
        names = iter(service.tokens)
        for kind, paths in (("API", API), ("page", PAGES)):
            [one] = _visitors(service, kind, [next(names)])
            yield from _alone(kind, paths, one, service, more)
            group = _visitors(service, kind, [next(names) for _ in range(AT_ONCE)])
            yield from _at_once(kind, paths, group, EACH * more)


def _visitors(service: KnownService, kind: str, tokens: Sequence[str]) -> list[Visitor]:
    pause = PAUSE_SECONDS if len(tokens) > 1 else 0.0
    found = [Visitor(service.url, token, pause) for token in tokens]
    for visitor in found:
        if kind == "page":
            visitor.log_in()
    return found


def _alone(
    kind: str, paths: dict[str, str], visitor: Visitor, service: KnownService, more: int
) -> Iterator[Row]:
    with closing(visitor):
        for name, path in paths.items():
            visitor.get(path)  # what is read or compiled once
            before = cpu_seconds(service.pid)
            seconds = [visitor.get(path).seconds for _ in range(TIMES * more)]
            spent = (cpu_seconds(service.pid) - before) / len(seconds)
            yield _row(f"{kind}: {name}", seconds, f"{1000 * spent:.1f} ms of the processor each")


def _at_once(
    kind: str, paths: dict[str, str], visitors: Sequence[Visitor], times: int
) -> Iterator[Row]:
    """All ask for all paths, each from another one on."""
    names = list(paths)
    found: dict[str, list[float]] = {name: [] for name in names}
    failed: list[Exception] = []

    def ask(first: int, visitor: Visitor) -> None:
        try:
            with closing(visitor):
                for turn in range(times * len(names)):
                    name = names[(first + turn) % len(names)]
                    found[name].append(visitor.get(paths[name]).seconds)
        except Exception as error:
            failed.append(error)

    _together([lambda n=n, v=v: ask(n, v) for n, v in enumerate(visitors)])
    if failed:
        raise failed[0]
    for name in names:
        yield _row(f"{kind}: {name}, {len(visitors)} at once", found[name], "")


def _together(works: Sequence[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _row(what: str, seconds: list[float], more: str) -> Row:
    times = [1000 * one for one in seconds]
    detail = f"median {median(times):.0f} ms, at most {max(times):.0f} ms"
    figure = quantiles(times, n=20)[-1]
    detail += f", {more}" if more else ""
    return Row(f"{what}, p95", figure, GOAL_MILLISECONDS, "ms", detail)
