"""What is kept of each release from 1.0 on, in tests/data/releases/VERSION (make.py): the wheels of
agent and controller, the agent for boards, and the inventory of what others build on."""

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwave_controller.boards import package
from tests.frozen.inventory import OPTIONAL, REQUIRED, Inventory

FOLDER = Path(__file__).parents[1] / "data/releases"
BOARD, INVENTORY = "board.zip", "inventory.json"
GROWS = ("formats",)  # the highest format version that is read
# What we read and others write: what they had to give they may leave out later. What others read
# of us stays as it is.
LOOSENS = ("events", "plans", "settings", "commands", "calls")
_FIRST = ""


@dataclass(frozen=True)
class Release:
    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def inventory(self) -> Inventory:
        found: Inventory = json.loads((self.folder / INVENTORY).read_text())
        return found

    def unpack(self, folder: Path) -> Path:
        """Unpacks its Python packages into `folder`, a place for PYTHONPATH."""
        for wheel in self.folder.glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(folder)
        return folder

    def unpack_board(self, folder: Path) -> Path:
        return unpacked_board((self.folder / BOARD).read_bytes(), folder)


def board_archive() -> bytes:
    """The modules that a board imports, of the present program."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in sorted(package.build().items()):
            if name.endswith(".mpy"):
                archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def unpacked_board(archive: bytes, folder: Path) -> Path:
    """Unpacks it into `folder`, as an installation does into /lib."""
    zipfile.ZipFile(io.BytesIO(archive)).extractall(folder)
    return folder


def releases() -> list[Release]:
    return [Release(path) for path in sorted(FOLDER.iterdir())]


def broken(before: Inventory, now: Inventory) -> list[str]:
    """Returns what `now` breaks for those who build on `before`, a line each: what is gone or means
    something else, and what they would have to give that was not known."""
    return [
        f"{part}: {line}"
        for part, entries in before.items()
        for line in (*_changed(part, entries, now[part]), *_asked(entries, now[part]))
    ]


def _changed(part: str, before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    return [
        f"{name} was {said}, and is {now.get(name, 'gone')}"
        for name, said in before.items()
        if not _stands(part, said, now.get(name))
    ]


def _stands(part: str, before: Any, now: Any) -> bool:
    if part in LOOSENS and before == REQUIRED:
        return now in (REQUIRED, OPTIONAL)
    if part in GROWS and now is not None:
        return bool(now >= before)
    return bool(now == before)


def _asked(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What is required within something that older ones know and was not known. Within something
    new it may be."""
    return [
        f"{name} is required, and was not known"
        for name, said in now.items()
        if said == REQUIRED and name not in before and _above(name) in (*before, _FIRST)
    ]


def _above(name: str) -> str:
    """The entry that this one is a part of: "order" of "order.seq"; "" for what stands first."""
    above = name.rpartition(".")[0] or name.rpartition(" ")[0]
    return above.removesuffix("[]")
