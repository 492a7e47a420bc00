"""Tries the public models of models.toml, and writes docs/models.md and docs/models.json.

    python -m benchmarks.models [--python PYTHON]... [NAME]...
    make models [PYTHONS="/path/to/python3.12"]

Models run on this interpreter, and on each of --python, which needs a runtime of its own. With
names it tries only those, prints what it found, and writes nothing. The exit code is 1 if a model
could not be fetched, or is said to fit and loads nowhere."""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.models import columns, table
from benchmarks.models.columns import Python, Row
from benchmarks.models.corpus import Model, cache_folder, wheels
from benchmarks.models.fetch import fetch


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--python", action="append", default=[], metavar="PYTHON")
    options = parser.parse_args()
    wanted, cache = wheels(), cache_folder()
    missing = fetch(wanted, cache)
    for name, reason in missing.items():
        print(f"missing: {name}: {reason}", file=sys.stderr)
    pythons = [columns.asked(path) for path in (sys.executable, *options.python)]
    found = table.Table({python.name: python.runtimes for python in pythons}, [])
    with tempfile.TemporaryDirectory() as folder:
        for wheel in wanted:
            for model in wheel.models:
                if model.name in missing or (options.names and model.name not in options.names):
                    continue
                row = Row(model.name, model.what, wheel.requirement)
                try_one(row, model, model.file(cache), pythons, Path(folder))
                print(row.name, table.answers(row), flush=True)
                found.rows.append(row)
    if not options.names and not missing:
        table.write(found)
    if found.wrong:
        print(f"said to fit, but load nowhere: {', '.join(found.wrong)}", file=sys.stderr)
    return 1 if found.wrong or missing else 0


def try_one(row: Row, model: Model, file: Path, pythons: list[Python], folder: Path) -> None:
    inputs = None  # all interpreters get those that the first one drew
    for number, python in enumerate(pythons):
        answers = folder / f"{model.name}-{number}.npz"
        row.loads[python.name] = columns.loads(python, model, file, answers, inputs)
        if answers.exists():
            inputs = inputs or answers
    row.fits = columns.fits(file)


if __name__ == "__main__":
    sys.exit(main())
