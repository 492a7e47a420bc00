"""Tries the public models of models.toml, and writes docs/models.md and docs/models.json.

    python -m benchmarks.models [--ram] [--python PYTHON]... [NAME]...
    make models [PYTHONS="/path/to/python3.12"]

Models run on this interpreter, and on each of --python, which needs a runtime, and the packages
paho-mqtt and cryptography of the agent. With names it tries only those, and writes their rows anew,
if the others are of the same runtimes. With --ram it measures again what released models ask for
and take, and leaves the other columns as they are. The exit code is 1 if a model could not be
fetched, or is said to fit and loads nowhere."""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.models import columns, table
from benchmarks.models.agreement import agreement
from benchmarks.models.columns import YES, Python, Row
from benchmarks.models.corpus import Model, cache_folder, wheels
from benchmarks.models.fetch import fetch
from benchmarks.models.fleet import Fleet, fleet
from benchmarks.models.table import Table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--ram", action="store_true", help="measure only the RAM again")
    parser.add_argument("--python", action="append", default=[], metavar="PYTHON")
    options = parser.parse_args()
    wanted = wheels()
    missing = fetch(wanted, cache_folder())
    for name, reason in missing.items():
        print(f"missing: {name}: {reason}", file=sys.stderr)
    chosen = {
        model.name: (model, Row(model.name, model.what, wheel.requirement, model.format))
        for wheel in wanted
        for model in wheel.models
        if model.name not in missing and model.name in (options.names or [model.name])
    }
    pythons = [columns.asked(path) for path in (sys.executable, *options.python)]
    with tempfile.TemporaryDirectory() as folder:
        if options.ram:
            rows = _ram_again(Path(folder), pythons, [model for model, _ in chosen.values()])
        else:
            rows = _tried(Path(folder), pythons, list(chosen.values()))
    found = Table({python.name: python.runtimes for python in pythons}, rows)
    if not missing:
        is_part = options.names or options.ram
        table.write(table.merged(table.read(), found) if is_part else found)
    if found.wrong:
        print(f"said to fit, but load nowhere: {', '.join(found.wrong)}", file=sys.stderr)
    return 1 if found.wrong or missing else 0


def _tried(folder: Path, pythons: list[Python], chosen: list[tuple[Model, Row]]) -> list[Row]:
    with fleet(folder / "fleet") as devices:
        trial = Trial(folder, pythons, devices)
        for model, row in chosen:
            trial.before_serving(model, row)
            print(row.name, table.answers(row), flush=True)
        for row in trial.serve([row for _, row in chosen if row.released == YES]):
            print(row.name, row.served, flush=True)
    return [row for _, row in chosen]


def _ram_again(folder: Path, pythons: list[Python], models: list[Model]) -> list[Row]:
    """Returns the rows of those that were released, with their RAM measured again."""
    old = {row.name: row for row in table.read().rows}
    rows = []
    for model in models:
        row, answers = old[model.name], folder / f"{model.name}.npz"
        if row.released != YES:
            continue
        file = model.file(cache_folder())
        if (said := columns.loads(pythons[0], model, file, answers, None)) != YES:
            raise OSError(f"{model.name} does not load any more: {said}")
        row.format = model.format
        row.needs = columns.asks(model, file, answers, [python.path for python in pythons[1:]])
        row.takes = {p.name: columns.takes(p, model, file, answers) for p in pythons}
        print(row.name, row.needs, row.takes, flush=True)
        rows.append(row)
    return rows


class Trial:
    """Fills in the rows."""

    def __init__(self, folder: Path, pythons: list[Python], devices: Fleet) -> None:
        self.folder = folder
        self.pythons = pythons
        self.devices = devices

    def before_serving(self, model: Model, row: Row) -> None:
        file = model.file(cache_folder())
        first = self._answers(row.name, self.pythons[0])  # all get the inputs that it drew
        for python in self.pythons:
            answers, drawn = self._answers(row.name, python), first if first.exists() else None
            row.loads[python.name] = columns.loads(python, model, file, answers, drawn)
        if model.format == "tflite":  # model inspect does not read ONNX
            row.fits = columns.fits(model, file)
        if not first.exists():
            return
        golden = self.folder / f"{row.name}.golden.npz"
        others = [python.path for python in self.pythons[1:]]
        row.golden = columns.golden(model, file, first, golden, others)
        if row.golden == YES:
            measured = [part for path in others for part in ("--python", path)]
            row.released, row.needs = self.devices.release(model, row.package, golden, *measured)
        if row.released == YES:
            row.takes = {p.name: columns.takes(p, model, file, first) for p in self.pythons}

    def serve(self, rows: list[Row]) -> list[Row]:
        inputs = {row.name: self._answers(row.name, self.pythons[0]) for row in rows}
        found = self.devices.serve(inputs, self.pythons)
        for row in rows:
            for python in self.pythons:
                answer = found[row.name, python.name]
                expected = self._answers(row.name, python)
                if isinstance(answer, Path):
                    answer = agreement(answer, expected) if expected.exists() else YES
                row.served[python.name] = answer
        return rows

    def _answers(self, name: str, python: Python) -> Path:
        """The file with the inputs, and with the outputs of the runtime alone."""
        return self.folder / f"{name}-{python.version}.npz"


if __name__ == "__main__":
    sys.exit(main())
