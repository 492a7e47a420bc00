"""Figures of the database: who leads, what waits for the broker, repairs, and devices."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import Metric
from sqlalchemy import Connection

from modelwave_controller.metrics.census import Census, Counts
from modelwave_controller.metrics.series import gauge, gauges, largest
from modelwave_controller.metrics.waiting import Waiting
from modelwave_controller.operations.device_entries import silent_before
from modelwave_controller.operations.health import Health, health
from modelwave_controller.storage import clock, gateways, outbox, repairs, shares

MAX_REPAIRS = 10_000  # devices that are counted


class Fleet:
    """One thread uses it at a time."""

    def __init__(self) -> None:
        self._census = Census()
        self._waiting = Waiting()

    def families(self, connection: Connection, now: float, steady: float) -> Iterator[Metric]:
        """`now` is in Unix seconds, `steady` in seconds of a clock that cannot be set."""
        found, clocks = health(connection, now), clock.stored(connection)
        yield from _service(found)
        yield _shares(connection, now)
        yield gauge("clock_in_doubt", "1 if no order is signed, by the clock.", bool(clocks.doubt))
        yield gauge("outbox_messages", "Messages that the broker lacks.", outbox.left(connection))
        text = "How long the oldest of them has waited, as this process has seen."
        yield gauge("outbox_oldest_seconds", text, self._waiting.oldest(connection, steady))
        yield from _repairs(connection)
        if found.up_to_date:
            text = "Gateways that devices are reached through and that are offline."
            yield gauge("gateways_offline", text, gateways.offline(connection))
        self._census.step(connection, silent_before(clocks.seconds), now)
        if self._census.newest is not None:
            yield from _devices(self._census.newest, found.up_to_date)


def _service(found: Health) -> Iterator[Metric]:
    yield gauge("service_leads", "1 if a service leads, by the database.", found.service_runs)
    text = "When the service that leads was seen, to some seconds; 0: never."
    yield gauge("service_seen_timestamp_seconds", text, found.seen_at)
    connected = found.link is not None and found.link.connected
    yield gauge("service_connected", "1 if it reaches the broker.", connected)


def _shares(connection: Connection, now: float) -> Metric:
    """`share` is one of at most 64."""
    rows = [((str(one.number),), not one.problem(now)) for one in shares.stored(connection)]
    text = "1 if an ingest process receives the share."
    return gauges("ingest_share_received", text, ("share",), rows)


def _repairs(connection: Connection) -> Iterator[Metric]:
    found = repairs.by_model(connection, MAX_REPAIRS)
    text = "Devices that report an older order than theirs, and were sent theirs again."
    counts = (((model,), devices) for model, (devices, _) in found.items())
    yield gauges("repaired_devices", text, ("model",), largest(counts))
    text = "How often their orders were sent again."
    times = (((model,), number) for model, (_, number) in found.items())
    yield gauges("repairs", text, ("model",), largest(times))


def _devices(found: Counts, is_up_to_date: bool) -> Iterator[Metric]:
    yield _by_target("devices", "Known devices.", found.devices)
    if is_up_to_date:  # else it is not known who is online
        yield _by_target("devices_online", "Devices that are online.", found.online)
        yield _by_target("devices_silent", "Those of them that do not report.", found.silent)
    labels = ("target", "model", "release")
    text = "Devices by the release that they run; 0: none yet."
    yield gauges("devices_by_release", text, labels, largest(found.releases.items()))
    yield gauge("devices_counted_timestamp_seconds", "When they were counted.", found.at)


def _by_target(name: str, text: str, counts: Counter[str]) -> Metric:
    rows = largest(((target,), number) for target, number in counts.items())
    return gauges(name, text, ("target",), rows)
