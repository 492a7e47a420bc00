"""Makes families of series, each with a bounded number of them."""

from collections.abc import Iterable, Sequence

from prometheus_client.core import GaugeMetricFamily

MAX_SERIES = 200  # of a family whose labels come from devices
OTHERS = "_others"  # no name of a target or a model begins so

Labels = tuple[str, ...]


def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily("modelwave_" + name, text, value=float(value))


def gauges(
    name: str, text: str, labels: Sequence[str], rows: Iterable[tuple[Labels, float]]
) -> GaugeMetricFamily:
    found = GaugeMetricFamily("modelwave_" + name, text, labels=labels)
    for its, value in rows:
        found.add_metric(its, float(value))
    return found


def largest(counts: Iterable[tuple[Labels, int]]) -> list[tuple[Labels, float]]:
    """Returns the counts; of more than MAX_SERIES the largest, and the sum of the others."""
    rows = sorted(counts, key=lambda row: (row[0][0] == OTHERS, -row[1], row[0]))
    shown = rows[:MAX_SERIES] if rows and rows[-1][0][0] != OTHERS else rows[:-1][:MAX_SERIES]
    found: list[tuple[Labels, float]] = [(labels, number) for labels, number in shown]
    if rest := rows[len(shown) :]:
        found.append(((OTHERS,) * len(rest[0][0]), sum(number for _, number in rest)))
    return found
