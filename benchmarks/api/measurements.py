"""The measurements of `make api`, as those of `make scale` (benchmarks/scale/measurements.py)."""

from benchmarks.measuring import Measurement

MEASUREMENTS: tuple[Measurement, ...] = (
    Measurement("answers", "answers at 10,000 known devices", "benchmarks.api.answer_times"),
    Measurement("weight", "what a browser loads for each page", "benchmarks.api.weight"),
    Measurement("commands", "commands that ask a service", "benchmarks.api.commands"),
)
