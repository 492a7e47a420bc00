"""The measurements of `make api`, as those of `make scale` (benchmarks/scale/measurements.py)."""

from benchmarks.measuring import Measurement

MEASUREMENTS: tuple[Measurement, ...] = (
    Measurement("sweeps", "every sweep of the API's tests", "benchmarks.api.sweeps"),
    Measurement("answers", "answers at 10,000 known devices", "benchmarks.api.answer_times"),
    Measurement("weight", "what a browser loads for each page", "benchmarks.api.weight"),
    Measurement("readers", "200 who follow the log live", "benchmarks.api.live_readers"),
    Measurement("commands", "commands that ask a service", "benchmarks.api.commands"),
    Measurement("downloads", "files, beside other servers", "benchmarks.api.downloads"),
)
