"""The deltas of a home:

    deltas/<target>/<sha256>.json   which there are for the model with this sha256
    files/<sha256>                  the deltas themselves

A list is written after the deltas that it names. Nothing is lost with it: devices then download
whole files, until the deltas are made again.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError
from modelwave_controller.home import Home
from modelwave_controller.releases import delta_making
from modelwave_shared import deltas, digests
from modelwave_shared.deltas import BSDIFF, MAX_OFFERS, SUBTRACTED, Offer

MAX_MODEL_BYTES = 32 * 2**20  # old and new are in memory while a delta is made
# A delta is worth its download if it spares a quarter; one of kind 2, if it is also a tenth smaller
# than that of kind 1.
WORTH, WORTH_OF_BSDIFF = 0.75, 0.9
MAX_BASES = 16  # in a list; the ones from which devices make the model now come first
_MAX_LIST_BYTES = 65536


class Base(NamedTuple):
    """A model from which devices make the new one. `reads`: the highest kind of delta that one of
    them applies."""

    sha256: str
    reads: int
    devices: int


class Made(NamedTuple):
    """What there is for a base. `size`: bytes of its best delta, 0 if none is worth it; `is_new`:
    it was made now."""

    base: Base
    size: int
    is_new: bool


class _Read(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _Entry(_Read):
    """The deltas from one base, the best one first; none may be worth it. `reads`: up to which kind
    they were made."""

    base: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    reads: Annotated[int, Field(ge=0, le=99)]
    offers: list[Annotated[str, StringConstraints(max_length=200)]]

    def read(self) -> list[Offer]:
        return [offer for text in self.offers if (offer := deltas.read(text))]


class _List(_Read):
    made: Annotated[list[_Entry], Field(max_length=MAX_BASES)]


def offers(home: Home, target: str, sha256: str) -> list[Offer]:
    """Returns the deltas for the model with this sha256 on the target, the best one first."""
    return [offer for entry in _listed(home, target, sha256) for offer in entry.read()]


def make(home: Home, target: str, sha256: str, bases: Sequence[Base]) -> list[Made]:
    """Makes the deltas for the model with this sha256 that are missing, and puts those from `bases`
    first. Raises OSError."""
    listed = _listed(home, target, sha256)
    known = {entry.base: entry for entry in listed}
    found, made = dict[str, _Entry](), []
    for base in bases[:MAX_OFFERS]:
        entry = known.get(base.sha256)
        is_new = (entry is None or entry.reads < base.reads) and _can_be_made(home, sha256, base)
        if is_new:
            entry = _made(home, sha256, base)
        if entry:
            found[base.sha256] = entry
            sizes = [offer.size for offer in entry.read()]
            made.append(Made(base, sizes[0] if sizes else 0, is_new))
    chosen = list((found | {name: known[name] for name in known if name not in found}).values())
    if chosen != listed:
        path = _path(home, target, sha256)
        disk.make_folder(path.parent)
        text = _List(made=chosen[:MAX_BASES]).model_dump_json(indent=1)
        disk.replace(path, text.encode() + b"\n")
    return made


def _path(home: Home, target: str, sha256: str) -> Path:
    return home.deltas / target / f"{sha256}.json"


def _listed(home: Home, target: str, sha256: str) -> list[_Entry]:
    """Returns the list's entries; one that cannot be read counts as none."""
    path = _path(home, target, sha256)
    if not path.is_file():
        return []
    try:
        return _List.model_validate_json(disk.read_input(path, "deltas", _MAX_LIST_BYTES)).made
    except (OSError, OperatorError, ValidationError):
        return []


def _can_be_made(home: Home, sha256: str, base: Base) -> bool:
    paths = [home.files / base.sha256, home.files / sha256]
    return all(path.is_file() and path.stat().st_size <= MAX_MODEL_BYTES for path in paths)


def _made(home: Home, sha256: str, base: Base) -> _Entry:
    old, new = ((home.files / name).read_bytes() for name in (base.sha256, sha256))
    made = delta_making.deltas(old, new, base.reads)
    subtracted, bsdiff = made[SUBTRACTED], made.get(BSDIFF)
    kinds = []
    if bsdiff and len(bsdiff) < WORTH_OF_BSDIFF * len(subtracted):
        kinds.append(BSDIFF)
    kinds.append(SUBTRACTED)
    texts = []
    for kind in kinds:
        data = made[kind]
        if len(data) < WORTH * len(new):
            digest = digests.hexdigest(data)
            if not (home.files / digest).exists():
                disk.replace(home.files / digest, data)
            texts.append(Offer(kind, base.sha256, len(data), digest).text())
    return _Entry(base=base.sha256, reads=base.reads, offers=texts)
