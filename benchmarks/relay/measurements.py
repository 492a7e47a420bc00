"""The measurements of `make relay`, as those of `make scale` (benchmarks/scale/measurements.py)."""

from benchmarks.measuring import Measurement

MEASUREMENTS: tuple[Measurement, ...] = (
    Measurement("sweeps", "every sweep of gateways, wires and boards", "benchmarks.relay.sweeps"),
    Measurement("wave", "one wave to 32 boards of a gateway", "benchmarks.relay.wave"),
    Measurement("throughput", "one board, by its baud rate", "benchmarks.relay.throughput"),
)
