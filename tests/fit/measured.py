"""Models that were run in tflite-micro on five kinds of firmware, with the measured figures: the
few that we may distribute, in tests/data/fit. `make fit` can use a folder with more.

    python -m tests.fit.measured FOLDER

copies the few again from such a folder (measured.json, models/). Of the models that were
generated for the measurements, it takes the smallest of each kind, the next three if they are
small, and the smallest that TFLM refuses."""

import json
import re
import shutil
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FEW = ROOT / "tests" / "data" / "fit"

SMALL_BYTES = 20_000
GENERATED = ("zoo__", "digits_")  # the others belong to their projects and stay where they are
KEPT = ("used", "need", "planned", "error")  # of a row
PROFILES = {  # the table's names of ours
    "m4ref": "cortex-m4:reference",
    "m4cmsis": "cortex-m4:cmsis-nn",
    "m0cmsis": "cortex-m0plus:cmsis-nn",
    "ilp32": "esp32:reference",
    "x86_64": "x86-64:reference",
}


@dataclass(frozen=True)
class Row:
    """One model on one profile; `error` is TFLM's where it refused the model, perhaps empty."""

    name: str
    profile: str
    model: Path
    used: int | None
    need: int | None
    planned: int | None
    error: str | None

    def __str__(self) -> str:
        return f"{self.name} on {self.profile}"


def model(name: str) -> Path:
    """One of the few."""
    return FEW / "models" / f"{name}.tflite"


def rows(folder: Path) -> list[Row]:
    """All rows of the folder's measured.json."""
    table = json.loads((folder / "measured.json").read_text("utf-8"))
    return [
        Row(
            name,
            PROFILES[variant],
            folder / "models" / f"{name}.tflite",
            row.get("used"),
            row.get("need"),
            row.get("planned"),
            row.get("error"),
        )
        for name, model in table["models"].items()
        for variant, row in model["tflm"].items()
    ]


def choose(names: list[str], sizes: dict[str, int], refused: set[str]) -> list[str]:
    kinds = defaultdict(list)
    for name in sorted(names, key=lambda name: (sizes[name], name)):
        kinds[re.sub(r"_?v?\d+$", "", name)].append(name)
    chosen = set()
    for first, *others in kinds.values():
        chosen |= {first, *[name for name in others[:3] if sizes[name] <= SMALL_BYTES]}
        chosen |= set([name for name in (first, *others) if name in refused][:1])
    return sorted(chosen)


def copy(source: Path) -> None:
    table = json.loads((source / "measured.json").read_text("utf-8"))
    models = {name: model for name, model in table["models"].items() if name.startswith(GENERATED)}
    refused = {
        name
        for name, model in models.items()
        if any("error" in row for row in model["tflm"].values())
    }
    sizes = {name: model["bytes"] for name, model in models.items()}
    few = {name: models[name] for name in choose(list(models), sizes, refused)}
    (FEW / "models").mkdir(parents=True, exist_ok=True)
    for name in few:
        shutil.copyfile(source / "models" / f"{name}.tflite", FEW / "models" / f"{name}.tflite")
    for model in few.values():
        model["tflm"] = {
            variant: {key: row[key] for key in KEPT if key in row}
            for variant, row in model["tflm"].items()
        }
    text = json.dumps({**table, "models": few}, indent=1)
    (FEW / "measured.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    copy(Path(sys.argv[1]))
