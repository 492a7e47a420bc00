"""Puts a backup into a home that is new, or whose database was lost or is damaged.

Everything is unpacked beside the home and verified before the home changes. Then the files are
moved into place, root.json last: without it a folder is not a home. Files that are in the home
already stay as they are, because they are as new as the backup or newer, and a database that is
replaced is put aside, not deleted.

The restored database says in its log that it was restored, so that the service signs no order
before `modelwave recover`: it does not know which numbers were given after the backup. Nor does it
know which access tokens were revoked then, so all of them are revoked.
"""

import contextlib
import errno
import filecmp
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError, StorageError, TrustError
from modelwave_controller.home import GITIGNORE, Home, read_config
from modelwave_controller.interruption import held_back, saying
from modelwave_controller.operations import archive
from modelwave_controller.operations.archive import DATABASE, Damaged, Manifest
from modelwave_controller.people import tokens
from modelwave_controller.storage import damage, migrate, snapshot, store
from modelwave_controller.storage.store import Store
from modelwave_controller.trust import report_keys

_PRIVATE = (DATABASE, "controller.toml")  # which may have the database's password
_LOGS = ("-wal", "-shm")
_UNCHANGED = "nothing was changed; the same command begins anew"
_RESTORED = (
    "but all was restored before: put order.key back, start `modelwave serve`, and look at "
    "`modelwave recover`"
)

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Restored:
    """What was done. `put_aside` is where the database is now that was there before; `kept` are
    files of the home that differ from the backup's; `missing` are those to be put back by hand,
    with what they are."""

    manifest: Manifest
    models: list[str]  # whose numbers are to be recovered
    tokens: int  # access tokens that were revoked
    put_aside: str
    kept: list[str]
    missing: list[tuple[str, str]]


def restore(
    path: Path, backup: Path, now: float, actor: str, tell: Tell, force: bool = False
) -> Restored:
    """Restores the backup into the home at `path`. `now` is in Unix seconds. With `force` it also
    replaces a database that is in order. Raises OperatorError if the home or a service is in the
    way, TrustError if the backup is damaged, StorageError if its database is."""
    try:
        with _opened(backup) as file:
            manifest = archive.read_manifest(file)
            _require_readable(manifest)
            _require_same_fleet(path, manifest)
            _require_space(path, manifest)
            with _beside(path) as stage:
                with saying(_UNCHANGED):
                    _unpack(file, manifest, stage, tell)
                return _restore(path, stage, manifest, now, actor, force)
    except Damaged as error:
        raise archive.not_a_backup(backup, error) from error


def _restore(
    path: Path, stage: Path, manifest: Manifest, now: float, actor: str, force: bool
) -> Restored:
    """Moves what was unpacked to `stage` into the home."""
    with saying(_UNCHANGED):
        models: list[str] = []
        revoked, target = 0, None
        place = _place_of_database(path, stage, manifest)
        if manifest.revision:
            target = place
            _require_free(target, force)
            models, revoked = _prepare(stage / DATABASE, manifest, now, actor)
    with saying(_RESTORED), held_back():
        kept, put_aside = _move_all(stage, path, manifest, target, now)
    return Restored(manifest, models, revoked, put_aside, kept, _missing(Home(path), manifest))


def _move_all(
    stage: Path, path: Path, manifest: Manifest, target: Path | None, now: float
) -> tuple[list[str], str]:
    """Moves all into place, the database to `target`. Returns `kept` and `put_aside`."""
    there, put_aside = (path / "root.json").exists(), ""
    kept = _move_files(stage, path, manifest)
    if target:
        put_aside = _put_aside(target, now)
        _move(stage / DATABASE, target)
    if not there:
        if not os.path.lexists(path / ".gitignore"):  # a backup of before homes had one
            disk.create_file(path / ".gitignore", GITIGNORE)
        _move(stage / "root.json", path / "root.json")
    return kept, put_aside


@contextlib.contextmanager
def _opened(backup: Path) -> Iterator[BinaryIO]:
    try:
        with open(backup, "rb") as file:
            yield file
    except FileNotFoundError as error:
        if error.filename != str(backup):
            raise
        raise OperatorError(f"FILE: there is no {backup}") from error
    except IsADirectoryError as error:
        raise OperatorError(f"FILE: {backup} is a folder") from error


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Yields a new folder on the disk of the home, which is removed in the end."""
    place = path if path.is_dir() else path.absolute().parent
    if os.path.lexists(path) and not path.is_dir():
        raise OperatorError(f"--home: {path} is not a folder")
    if not place.is_dir():
        raise OperatorError(f"--home: there is no folder {place}; make it first")
    Home(path).remove_left()
    with disk.work_folder(place, "restore") as folder:
        yield folder


def _require_readable(manifest: Manifest) -> None:
    if manifest.revision and manifest.revision not in migrate.KNOWN:
        raise OperatorError(
            f"FILE: its database has schema {manifest.revision!r}, and this modelwave knows "
            f"schemas up to {migrate.NEWEST}: use modelwave {manifest.modelwave}, which made the "
            "backup, or a newer one"
        )


def _require_same_fleet(path: Path, manifest: Manifest) -> None:
    if (path / "root.json").exists():
        fleet = Home(path).root.fleet
        if fleet != manifest.fleet:
            raise OperatorError(
                f"--home: {path} is the home of fleet {fleet}, and the backup is of fleet "
                f"{manifest.fleet}; name another folder"
            )
    elif path.is_dir() and any(not _may_be_there(entry, manifest) for entry in path.iterdir()):
        raise OperatorError(
            f"--home: {path} is not empty, and has no root.json; name a new folder, or the home "
            "that lost its database"
        )


def _may_be_there(entry: Path, manifest: Manifest) -> bool:
    """Returns whether a folder with this entry may still become the home: keys that were put back
    first, and what an interrupted restore leaves."""
    tops = {one.name.partition("/")[0] for one in manifest.entries}
    keys = {"order.key", report_keys.NAME, "offline"}
    left = disk.is_work_folder(entry) or disk.is_part(entry)
    return left or entry.name in tops | keys | {".gitignore"}


def _require_space(path: Path, manifest: Manifest) -> None:
    place = path if path.is_dir() else path.absolute().parent
    with contextlib.suppress(FileNotFoundError):
        free = shutil.disk_usage(place).free
        if free < manifest.size:
            raise StorageError(
                f"{place}: the backup needs {manifest.size:,} bytes, and {free:,} are free"
            )


def _unpack(file: BinaryIO, manifest: Manifest, stage: Path, tell: Tell) -> None:
    done = 0
    for entry in manifest.entries:
        tell("verify", done, manifest.size)
        place = stage / entry.name
        place.parent.mkdir(parents=True, exist_ok=True)
        with disk.naming(place), place.open("xb") as out:
            archive.read_entry(file, entry, out)
            out.flush()
            os.fsync(out.fileno())
        done += entry.size
    archive.read_end(file)
    tell("verify", done, manifest.size)
    for name in ("root.json", "controller.toml", *([DATABASE] if manifest.revision else [])):
        if not (stage / name).exists():
            raise Damaged(f"it has no {name}")
    if not manifest.revision and (stage / DATABASE).exists():
        raise Damaged(f"its manifest does not say which schema its {DATABASE} has")
    try:
        fleet = Home(stage).config.fleet
    except (OperatorError, TrustError) as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from None  # of this disk, not of the backup
        raise Damaged(str(error)) from error
    if fleet != manifest.fleet:
        raise Damaged(f"its root.json is for fleet {fleet}, its manifest for {manifest.fleet}")


def _place_of_database(path: Path, stage: Path, manifest: Manifest) -> Path:
    """Returns where the settings want the database: those of the home, which stay, else those of
    the backup. A backup names no other place than the home: it is not signed, and whatever is at
    that place would be put aside. Raises OperatorError."""
    default, own = path / DATABASE, path / "controller.toml"
    is_own = os.path.lexists(own)
    url = read_config(own if is_own else stage / own.name, manifest.fleet).database.url
    if not manifest.revision or not url:
        return default
    file = store.file_of(Home(path).located(url))
    if file and file.absolute() == default.absolute():
        return default
    if not is_own:
        raise OperatorError(
            "FILE: its controller.toml wants the database elsewhere: database.url = "
            f"{store.shown(url)!r}. If "
            f'that is right, put that file into {path} first; if not, one with url = ""'
        )
    if file is None:
        raise OperatorError(
            f"{own}: database.url is not that of an SQLite file, and the backup has an SQLite "
            'database; set it to ""'
        )
    if not file.parent.is_dir():
        raise OperatorError(f"{own}: database.url: there is no folder {file.parent}; make it first")
    return file


def _require_free(file: Path, force: bool) -> None:
    """Raises OperatorError if a service uses the database, or if it is in order and there is no
    `force` to replace it."""
    if not file.exists() or file.is_dir():
        return
    if file.stat().st_size:
        snapshot.take_out_of_use(file)
        if not force and not damage.found(file):
            raise OperatorError(
                f"there is a database at {file}, and nothing is wrong with it; --force puts it "
                "aside and the backup in its place"
            )


def _prepare(file: Path, manifest: Manifest, now: float, actor: str) -> tuple[list[str], int]:
    """Migrates the unpacked database, and notes in it that it was restored. Returns `models` and
    `tokens` of Restored."""
    if problem := damage.found(file):
        raise Damaged(f"its database is damaged: {problem}")
    if (revision := snapshot.revision(file)) != manifest.revision:
        raise Damaged(f"its database has schema {revision!r}, its manifest {manifest.revision!r}")
    with closing(Store(f"sqlite:///{file.absolute()}")) as opened:
        models = snapshot.note_restored(opened, manifest.made_at, now, actor)
        with opened.write() as connection:
            revoked = tokens.revoke_all(connection, now, actor, tokens.RESTORED)
    snapshot.take_out_of_use(file)  # so that it is one file
    return models, revoked


def _move_files(stage: Path, path: Path, manifest: Manifest) -> list[str]:
    """Moves the files into the home, but for the database and root.json. Returns those that the
    home has with other contents, which stay."""
    disk.private_folder(path)
    kept = []
    for entry in manifest.entries:
        source, place = stage / entry.name, path / entry.name
        if entry.name == DATABASE or (entry.name == "root.json" and not place.exists()):
            continue
        if not os.path.lexists(place):
            _make_folders(path, place.parent)
            _move(source, place)
        elif place.is_file() and filecmp.cmp(source, place, shallow=False):
            disk.sync_folder(place.parent)  # a restore that was killed may have put it there
        else:
            kept.append(entry.name)
    return kept


def _make_folders(home: Path, folder: Path) -> None:
    """Makes the folders of the home down to `folder`; others may not write into them."""
    for one in [*reversed(folder.relative_to(home).parents), folder.relative_to(home)]:
        disk.make_folder(home / one)


def _move(source: Path, place: Path) -> None:
    """Moves a file durably; to another disk by a copy that is renamed when it is complete. The
    settings may give the database another name."""
    mode = 0o600 if source.name in _PRIVATE else 0o644
    os.chmod(source, mode)
    try:
        os.rename(source, place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        near = place.with_name(f"{disk.PART}{place.name}")
        near.touch(0o600)  # so that nobody else reads it while it is copied
        shutil.copyfile(source, near)
        os.chmod(near, mode)
        disk.sync_file(near)
        os.rename(near, place)
    disk.sync_folder(place.parent)


def _put_aside(file: Path, now: float) -> str:
    """Renames a database with what belongs to it. Returns its new name, "" if there was none."""
    when = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    aside = ""
    for suffix in (*_LOGS, ""):
        old = file.with_name(file.name + suffix)
        if os.path.lexists(old):
            new = old.with_name(f"{file.name}.before-{when}{suffix}")
            os.rename(old, new)
            aside = "" if suffix else str(new)
    return aside


def _missing(home: Home, manifest: Manifest) -> list[tuple[str, str]]:
    """Returns what the home needs and no backup has: (file, what it is)."""
    config, found = home.config, []
    if home.order_key_file is not None and not os.path.exists(home.order_key_file):
        found.append((str(home.order_key_file), "the key that signs orders"))
    if not os.path.exists(home.path / report_keys.NAME):
        told = "the secret of devices' report keys, if devices were enrolled"
        found.append((str(home.path / report_keys.NAME), told))
    for name, what in (
        (config.keys.passphrase_file, "the order key's passphrase or PIN"),
        (config.database.password_file, "the database's password"),
        (config.broker.password_file, "the broker's password"),
        (config.broker.ca, "the broker's authority"),
        (config.broker.certificate, "the controller's certificate"),
        (config.broker.key, "the key of the controller's certificate"),
        (config.api.certificate, "the certificate for operators"),
        (config.api.key, "the key of the certificate for operators"),
        (config.tracing.headers_file, "the headers for the collector of traces"),
        (config.tracing.ca, "the authority of the collector of traces"),
    ):
        if name and not os.path.exists(home.within(name)):
            found.append((str(home.within(name)), what))
    if not manifest.files:
        found.append((str(home.files), "the models' files: `modelwave release add` each bundle"))
    return found
