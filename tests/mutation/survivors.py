"""The mutants that no test can notice, each with the reason (survivors.toml)."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.mutants import ROOT, Mutant

FILE = Path(__file__).with_name("survivors.toml")


@dataclass(frozen=True)
class Survivor:
    path: str
    before: str
    after: str
    why: str

    def is_of(self, mutant: Mutant) -> bool:
        return (self.path, self.before, self.after) == (mutant.path, mutant.before, mutant.after)


def explained() -> list[Survivor]:
    entries = tomllib.loads(FILE.read_text()).get("survivor", [])
    return [Survivor(**entry) for entry in entries]


def gone(survivors: list[Survivor]) -> list[Survivor]:
    """Returns those whose line stands no more in its file."""
    return [
        one
        for one in survivors
        if one.before not in {line.strip() for line in (ROOT / one.path).read_text().splitlines()}
    ]
