"""Renders a scrape: Prometheus' text, from the figures of the process and an open read of the
database."""

import time
from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from modelwave_controller.metrics import process
from modelwave_controller.metrics.fleet import Fleet
from modelwave_controller.metrics.rollouts import Rollouts
from modelwave_controller.metrics.series import gauge
from modelwave_controller.service.vitals import Vitals


class Exposition:
    """Keeps between scrapes what it has read. One thread uses it at a time."""

    def __init__(self, vitals: Vitals, steady: Callable[[], float] = time.monotonic) -> None:
        """`steady` returns seconds of a clock that nobody can set."""
        self._vitals = vitals
        self._steady = steady
        self._fleet = Fleet()
        self._rollouts = Rollouts()
        self._system = ProcessCollector(registry=None)

    def render(self, connection: Connection | None, now: float) -> bytes:
        """`connection`: None if the database does not answer. `now` is in Unix seconds. Raises
        StorageError."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collected([*self._families(connection, now)]))
        return generate_latest(registry)

    def _families(self, connection: Connection | None, now: float) -> Iterator[Metric]:
        yield from self._system.collect()
        yield from process.families(self._vitals)
        answers = connection is not None
        yield gauge("database_answers", "1 if the database answers this process.", answers)
        if connection is not None:
            yield from self._fleet.families(connection, now, self._steady())
            yield from self._rollouts.families(connection)


class _Collected(Collector):
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Sequence[Metric]:
        return self._families
