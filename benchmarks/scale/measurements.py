"""The measurements of `make scale`: a row for each. To add one, write a module beside this one with
`rows(long: bool)`, which yields its rows of the table as it measures them."""

from benchmarks.measuring import Measurement

MEASUREMENTS: tuple[Measurement, ...] = (
    Measurement("start", "what a command takes before it does anything", "benchmarks.scale.start"),
    Measurement("ingest", "how many reports a second are stored", "benchmarks.scale.ingest"),
    Measurement("ingest-two", "two ingest processes against one", "benchmarks.scale.ingest_two"),
    Measurement("idle", "what an idle fleet writes to the disk", "benchmarks.scale.idle"),
    Measurement("embedded", "a wave through `modelwave broker`", "benchmarks.scale.embedded"),
    Measurement(
        "mosquitto",
        "the shipped Mosquitto file: retained messages, a rollout, a broker that ends under it",
        "benchmarks.scale.shipped_mosquitto",
    ),
    Measurement("fan-out", "a wave, beside a bare client", "benchmarks.scale.fan_out"),
    Measurement(
        "connected", "a wave to 100,000 devices (--long)", "benchmarks.scale.many_connected"
    ),
    Measurement("tick", "a tick and a restart in the middle of a rollout", "benchmarks.scale.tick"),
    Measurement("commands", "what shows a fleet, by its size", "benchmarks.scale.commands"),
    Measurement("year", "a year of a fleet, month by month", "benchmarks.scale.year"),
    Measurement("deltas", "the delta of a fine-tuned model", "benchmarks.scale.deltas"),
)
