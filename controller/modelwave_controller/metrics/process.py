"""Figures of this process: what it is, whether it leads, what it has received, its times."""

from collections.abc import Iterator, Mapping
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from modelwave_controller.metrics.series import gauge, gauges
from modelwave_controller.service.figures import TICK_SECONDS, Alerted, Durations, Figures
from modelwave_controller.service.vitals import Vitals
from modelwave_shared import checkout, version


def families(vitals: Vitals) -> Iterator[Metric]:
    yield _build()
    yield gauge("leads", "1 if this process leads, or receives its share.", vitals.leads)
    yield gauge("alive", "0 if its loop has not come round for long.", vitals.alive)
    if vitals.leads:
        text = "1 if this process, which leads, reaches the broker."
        yield gauge("broker_reached", text, vitals.reaches_broker)
    yield from _messages(vitals.figures)
    yield _ticks(vitals.figures.ticks)
    yield from _alerts(vitals.figures.alerts)
    yield from _alerts_now(vitals.figures.alerts if vitals.leads else {})


def _build() -> GaugeMetricFamily:
    its = (version.VERSION, checkout.commit())
    return gauges("build_info", "The program's version.", ("version", "commit"), [(its, 1)])


def _messages(figures: Figures) -> Iterator[Metric]:
    inbox, writes = figures.inbox, figures.writes
    counts = (
        ("received", "Messages of devices that came.", inbox.counts["received"]),
        ("dropped", "Messages that the inbox had no room for.", inbox.counts["dropped"]),
        ("stored", "Messages that were stored, or said nothing new.", writes["stored"]),
        ("bad", "Messages that could not be read.", writes["bad"]),
        ("lost", "Messages that the database did not take.", writes["lost"]),
    )
    for name, text, number in counts:
        yield CounterMetricFamily(f"modelwave_messages_{name}", text, value=number)
    yield gauge("inbox_messages", "Messages that wait to be stored.", len(inbox))
    yield gauge("inbox_bytes", "Memory that they take.", inbox.bytes)
    text = "How long the oldest of them has waited: the writer's lag."
    yield gauge("inbox_oldest_seconds", text, inbox.lag())


def _alerts(alerts: Mapping[str, Alerted]) -> Iterator[Metric]:
    """`alert` is the name of one of at most 16 in the settings."""
    counts = (
        ("sent", "Messages of the alert that were taken."),
        ("failed", "Tries to send one that failed."),
        ("given_up", "Alerts that were given up, as they were not taken or are too old."),
    )
    for name, text in counts:
        found = CounterMetricFamily(f"modelwave_alerts_{name}", text, labels=("alert",))
        for alert, its in alerts.items():
            found.add_metric((alert,), getattr(its, name))
        yield found


def _alerts_now(alerts: Mapping[str, Alerted]) -> Iterator[Metric]:
    """Of the process that leads: another one would go on telling what was when it led."""
    rows = [((alert,), its.waiting) for alert, its in alerts.items()]
    yield gauges("alerts_waiting", "Alerts that are to be sent.", ("alert",), rows)
    rows = [((alert,), its.tries) for alert, its in alerts.items()]
    text = "Tries of the message under way that have failed; 0: it was taken, or none is."
    yield gauges("alerts_tries", text, ("alert",), rows)


def _ticks(ticks: Durations) -> HistogramMetricFamily:
    counts, seconds = ticks.spread()
    bounds = [*(str(bound) for bound in TICK_SECONDS), "+Inf"]
    buckets = list(zip(bounds, accumulate(counts), strict=True))
    text = "How long a tick takes, in which rollouts are decided."
    return HistogramMetricFamily("modelwave_tick_seconds", text, buckets=buckets, sum_value=seconds)
