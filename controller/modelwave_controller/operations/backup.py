"""Makes a backup of a home: its database, settings, documents and model files, in one file.

Private keys and passwords are never in it: who finds a backup must not be able to sign. Only files
that modelwave knows are taken, and of these none that has a private key in it.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError, StorageError
from modelwave_controller.home import Home
from modelwave_controller.interruption import held_back, saying
from modelwave_controller.operations import archive
from modelwave_controller.operations.archive import DATABASE, MANIFEST, Damaged, Entry, Manifest
from modelwave_controller.storage import snapshot, store
from modelwave_controller.trust import keys

_FOLDERS = ("deltas", "releases", "roots", "signed", "targets")

# Is told what is being done, and how many of how many steps of it are done.
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Made:
    manifest: Manifest
    size: int  # of the backup, in bytes
    left_out: list[str]  # entries of the home folder, sorted


def make(
    home: Home,
    to: Path,
    now: float,
    version: str,
    tell: Tell,
    database: bool = True,
    files: bool = True,
    force: bool = False,
) -> Made:
    """Writes a backup to the file `to`, completely or not at all. `now` is in Unix seconds,
    `version` that of this program. Raises OperatorError, StorageError."""
    source = _database_of(home) if database else None
    disk.require_place(to, "FILE", force)
    home.remove_left()
    with disk.work_folder(to.parent, "backup") as work:
        with saying(f"no backup was written to {to}"):
            manifest = _make(home, source, work, now, version, tell, files)
        size = (work / "backup").stat().st_size
        with saying(f"{to} is written, and whole"), held_back():
            os.rename(work / "backup", to)
            disk.sync_folder(to.parent)
    return Made(manifest, size, _left_out(home, manifest))


def _make(
    home: Home, source: Path | None, work: Path, now: float, version: str, tell: Tell, files: bool
) -> Manifest:
    """Writes the backup to the file `backup` in the folder `work`; `source` is the database."""
    revision = ""
    if source:
        copied = work / DATABASE
        revision = snapshot.copy(source, copied, lambda n, of: tell("database", n, of))
    try:
        contents = _contents(home, work, files)
        manifest = Manifest(
            modelwave=version,
            fleet=home.root.fleet,
            made_at=int(now),
            revision=revision,
            files=files,
            entries=tuple(entry for entry, _ in contents),
        )
        _write(work / "backup", manifest, [place for _, place in contents], tell)
    except Damaged as error:
        raise StorageError(f"{home.path}: {error}; nothing was written") from error
    return manifest


def _database_of(home: Home) -> Path:
    url = home.database_url
    file = store.file_of(url)
    if file is None:
        raise OperatorError(
            "database.url: PostgreSQL has its own backup: `pg_dump --format=custom --file=FILE "
            "DATABASE`; make that first, then back up the home with --without-database"
        )
    if not file.exists() or not file.stat().st_size:
        raise OperatorError(
            f"there is no database at {file}: if it was lost, `modelwave restore FILE`; if none "
            "was made yet, back up the home with --without-database"
        )
    return file


def _contents(home: Home, work: Path, files: bool) -> list[tuple[Entry, Path]]:
    """Returns what goes into the backup, and where it is. The database is copied already: so all
    that it names is among the files."""
    found = []
    if (work / DATABASE).exists():
        found.append((_hashed(DATABASE, work / DATABASE), work / DATABASE))
    for path in sorted(_documents(home)):
        found.append((_hashed(_name(home, path), path), path))
    if files and home.files.is_dir():
        for path in sorted(home.files.iterdir()):
            name = _name(home, path)
            if archive.limit(name) and _is_plain(path):
                # The file's name is its hash; the copying checks it.
                entry = Entry(name=name, size=path.stat().st_size, sha256=path.name)
                found.append((entry, path))
    return found


def _documents(home: Home) -> Iterator[Path]:
    names = ("controller.toml", "root.json", ".gitignore", home.config.broker.ca)
    paths = [home.within(name) for name in names if name]
    for folder in _FOLDERS:
        paths += (home.path / folder).rglob("*")
    for path in paths:
        if archive.limit(_name(home, path)) and _is_plain(path) and not _has_private_key(path):
            yield path


def _name(home: Home, path: Path) -> str:
    try:
        return path.relative_to(home.path).as_posix()
    except ValueError:  # a file outside the home, such as /etc/ssl/ca.pem
        return ""


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _has_private_key(path: Path) -> bool:
    with path.open("rb") as file:
        return keys.is_private(file.read(archive.MAX_DOCUMENT_BYTES))


def _hashed(name: str, path: Path) -> Entry:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        size = file.tell()
    if size > archive.limit(name):
        raise Damaged(f"{name} has {size:,} bytes, and a backup has room for {archive.limit(name)}")
    return Entry(name=name, size=size, sha256=digest.hexdigest())


def _write(to: Path, manifest: Manifest, places: list[Path], tell: Tell) -> None:
    text = manifest.model_dump_json(indent=1).encode()
    if len(text) > archive.MAX_MANIFEST_BYTES or len(places) > archive.MAX_ENTRIES:
        raise Damaged(f"it has more than {archive.MAX_ENTRIES} files")
    total, done = manifest.size, 0
    descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with disk.naming(to), open(descriptor, "wb") as out:
        archive.write_entry(out, MANIFEST, len(text), BytesIO(text), manifest.made_at)
        for entry, place in zip(manifest.entries, places, strict=True):
            tell("backup", done, total)
            _copy(out, entry, place, manifest.made_at)
            done += entry.size
        archive.write_end(out)
        out.flush()
        os.fsync(out.fileno())
    tell("backup", total, total)


def _copy(out: BinaryIO, entry: Entry, place: Path, made_at: int) -> None:
    with place.open("rb") as source:
        digest = archive.write_entry(out, entry.name, entry.size, source, made_at)
    if digest != entry.sha256:
        raise Damaged(
            f"{entry.name} does not have the bytes of its name: add its release again, or leave "
            "all files out with --without-files"
            if entry.name.startswith("files/")
            else f"{entry.name} has changed while it was read: try again"
        )


def _left_out(home: Home, manifest: Manifest) -> list[str]:
    """Returns the entries of the home that are not in the backup, without the database's own."""
    taken = {entry.name for entry in manifest.entries}
    tops = {name.partition("/")[0] for name in taken} | {"files", f"{DATABASE}-wal"}
    tops |= {f"{DATABASE}-shm", DATABASE} | set(_FOLDERS)
    found = [path.name for path in home.path.iterdir() if path.name not in tops]
    for folder in _FOLDERS:
        for path in (home.path / folder).rglob("*"):
            if not path.is_dir() and _name(home, path) not in taken:
                found.append(_name(home, path))
    return sorted(found)
