"""The list of public models (models.toml), and the folder that holds the fetched ones."""

import hashlib
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIST = HERE / "models.toml"
ROOT = HERE.parents[1]
CACHE = ROOT / ".models"  # git ignores it
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Model:
    name: str
    path: str  # in the wheel
    sha256: str
    what: str
    shapes: dict[str, list[int]] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    limits: list[float] = field(default_factory=list)
    seed: int = 0
    voice: bool = False

    @property
    def format(self) -> str:
        return self.path.rpartition(".")[2]

    def file(self, cache: Path) -> Path:
        return cache / f"{self.name}.{self.format}"

    def is_fetched(self, cache: Path) -> bool:
        """Whether the file is there, with the bytes that the list pins."""
        path = self.file(cache)
        return path.exists() and digest(path) == self.sha256


@dataclass(frozen=True)
class Wheel:
    package: str
    version: str
    sha256: str
    models: list[Model]
    python: str = "3.11"

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}"


def wheels(path: Path = LIST) -> list[Wheel]:
    entries = tomllib.loads(path.read_text())["wheels"]
    return [
        Wheel(**{**entry, "models": [Model(**m) for m in entry["models"]]}) for entry in entries
    ]


def cache_folder() -> Path:
    return Path(os.environ.get("MODELWAVE_MODELS") or CACHE)


def digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            found.update(chunk)
    return found.hexdigest()
