"""Enrols devices: all of a list or none. An interruption leaves nothing of it.

    1 the files of all devices are written to a work folder inside the folder that is asked for
    2 in one transaction the database takes the devices, and their files are moved into place
    3 the broker's files are written anew from the database

A process that is killed between the last two leaves the broker's files as they were; each later
`device enrol`, `revoke` or `approve` writes them.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from modelwave_controller import disk
from modelwave_controller.broker import pbkdf2
from modelwave_controller.enrolment import access, written
from modelwave_controller.enrolment.authority import Authority
from modelwave_controller.enrolment.lists import MAX_TAGS, ToEnrol
from modelwave_controller.enrolment.written import Secrets
from modelwave_controller.errors import OperatorError
from modelwave_controller.home import Home
from modelwave_controller.interruption import held_back, saying
from modelwave_controller.operations import acts
from modelwave_controller.phrases import listed, plural
from modelwave_controller.rollout.events import DeviceApproved, DeviceRevoked, DevicesEnrolled
from modelwave_controller.storage import devices, enrolled, gateways, tags
from modelwave_controller.storage.enrolled import Enrolled
from modelwave_controller.storage.store import Transactions
from modelwave_controller.trust import report_keys

NAMED_IN_LOG = 20  # devices of one call
NOTHING_WAS_DONE = "no device was enrolled"

# Is told how many of how many devices are ready.
Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Wanted:
    """What is asked for: `out` takes the devices' files; `authority` makes certificates in place of
    passwords; `board`: a file a device, not a folder; `behind`: what the broker asks for is not in
    it, but in files beside it, for the device's gateway; `renew`: devices that are enrolled get new
    secrets; `brokers`: its URLs for devices, (): those of the settings."""

    devices: Sequence[ToEnrol]
    out: Path
    authority: Authority | None = None
    board: bool = False
    behind: bool = False
    renew: bool = False
    brokers: Sequence[str] = ()


@dataclass(frozen=True)
class Done:
    """`unchanged`: devices that were enrolled already."""

    enrolled: list[str]
    renewed: list[str]
    unchanged: list[str]
    broker_folder: Path


def enrol(
    home: Home, store: Transactions, wanted: Wanted, now: float, tell: Tell, actor: str = ""
) -> Done:
    """Enrols the devices. `now` is in Unix seconds. Raises OperatorError."""
    with store.read() as connection:
        before = enrolled.of(connection, [one.device for one in wanted.devices])
    due = [one for one in wanted.devices if _is_due(before.get(one.device), one, wanted.renew)]
    if due:
        _require_report_key(home, store, due)
        with _folder(wanted.out), disk.work_folder(wanted.out, "enrol") as work:
            with saying(NOTHING_WAS_DONE):
                rows = _write(home, wanted, due, before, work, now, tell)
            with held_back():
                _take(store, wanted, due, rows, before, work, now, actor)
    return Done(
        enrolled=[one.device for one in due if not _has_secrets(before.get(one.device))],
        renewed=[one.device for one in due if _has_secrets(before.get(one.device))],
        unchanged=sorted({one.device for one in wanted.devices} - {one.device for one in due}),
        broker_folder=write_access(home, store),
    )


def _require_report_key(home: Home, store: Transactions, due: Sequence[ToEnrol]) -> None:
    """Raises OperatorError if the secret of report keys is away, as after a restore: with a new one
    nothing that the other devices report would be proven."""
    if report_keys.load(home.path) is not None:
        return
    with store.read() as connection:
        rows = enrolled.every(connection)
    names = {one.device for one in due}
    kept = [row for row in rows if row.active and _has_secrets(row) and row.device not in names]
    others = sum(bool(row.target) for row in kept)  # a gateway has no report key
    if others:
        raise OperatorError(
            f"{home.path / report_keys.NAME} is missing, of which the report keys of "
            f"{plural(others, 'device')} were made: put it back; if it is lost, enrol all devices "
            "anew in one call, with --renew"
        )


def _has_secrets(row: Enrolled | None) -> bool:
    return row is not None and row.generation > 0


def _is_due(row: Enrolled | None, one: ToEnrol, renew: bool) -> bool:
    """Returns whether the device gets secrets. Raises OperatorError if it would need new ones and
    nobody asked for them."""
    if row is None or not _has_secrets(row) or renew:
        return True
    if not row.active:
        raise OperatorError(f"{row.device} was revoked: enrol it anew with --renew")
    if row.target != one.target:
        raise OperatorError(
            f"{row.device} is enrolled as {_kind(row.target)}, not as {_kind(one.target)}: --renew "
            "changes that, and makes new secrets"
        )
    return False


def _kind(target: str) -> str:
    return target or "a gateway"


@contextmanager
def _folder(out: Path) -> Iterator[None]:
    """Makes the folder if there is none, and removes it again if nothing came into it."""
    if out.exists() and not out.is_dir():
        raise OperatorError(f"--out: {out} is no folder")
    made = not out.exists()
    if made:
        out.mkdir(mode=0o700, parents=True)
    try:
        yield
    finally:
        if made:
            with suppress(OSError):
                out.rmdir()


def _write(
    home: Home,
    wanted: Wanted,
    due: Sequence[ToEnrol],
    before: dict[str, Enrolled],
    work: Path,
    now: float,
    tell: Tell,
) -> list[Enrolled]:
    """Writes the devices' files to the folder `work`; returns their rows."""
    around = written.surroundings(home, wanted.brokers)
    master = report_keys.load(home.path) or report_keys.create(home.path)
    rows = []
    for number, one in enumerate(due):
        tell(number, len(due))
        _check_place(wanted, one.device, before.get(one.device))
        held = before.get(one.device)
        generation = held.generation + 1 if held else 1
        certificate = wanted.authority.client(one.device, now) if wanted.authority else None
        password = "" if certificate else access.new_password()
        key = report_keys.device_report_key(master, one.device, generation)
        secrets = Secrets(password, certificate, key.hex())
        if wanted.board:
            files = written.board_files(one, secrets, around, wanted.behind)
            for name, data in files.items():
                written.write_secret(work / name, data)
        else:
            written.write_host(work / one.device, written.folder_files(one, secrets, around))
        verifier = pbkdf2.hash_random(password) if password else ""
        rows.append(Enrolled(one.device, one.target, generation, verifier, now, 0, 0))
    os.sync()  # once: to sync each file of 5,000 devices takes minutes
    tell(len(due), len(due))
    return rows


def _names(wanted: Wanted, device: str) -> list[str]:
    """Returns the names of what is written for a device."""
    if not wanted.board:
        return [device]
    return written.names_of_board(device, bool(wanted.authority), wanted.behind)


def _check_place(wanted: Wanted, device: str, row: Enrolled | None) -> None:
    for place in (wanted.out / name for name in _names(wanted, device)):
        if place.exists() and not _has_secrets(row):
            raise OperatorError(
                f"--out: {place} exists, and {device} is not enrolled: remove it, or name another "
                "folder"
            )


def _take(
    store: Transactions,
    wanted: Wanted,
    due: Sequence[ToEnrol],
    rows: Sequence[Enrolled],
    before: dict[str, Enrolled],
    work: Path,
    now: float,
    actor: str,
) -> None:
    """Stores the rows and moves the files into place; both or neither."""
    moved: list[tuple[Path, Path]] = []
    try:
        with store.write() as connection:
            names = [row.device for row in rows]
            now_there = enrolled.of(connection, names)
            if now_there != {name: before[name] for name in names if name in before}:
                raise OperatorError("another command enrolled one of these devices: try again")
            enrolled.put(connection, rows)
            _tag(connection, due)
            renewed = sum(_has_secrets(before.get(name)) for name in names)
            act = DevicesEnrolled(number=len(rows), first=names[:NAMED_IN_LOG], renewed=renewed)
            acts.note(connection, now, actor, act)
            for name in (name for row in rows for name in _names(wanted, row.device)):
                _move(work, wanted.out, name, moved)
            disk.sync_folder(wanted.out)
    except BaseException:
        for source, place in reversed(moved):
            os.rename(place, source)
        raise


def _move(work: Path, out: Path, name: str, moved: list[tuple[Path, Path]]) -> None:
    """Moves a device's files into place; those that were there go to the work folder."""
    place = out / name
    if place.exists():
        (work / "before").mkdir(exist_ok=True)
        os.rename(place, work / "before" / name)
        moved.append((place, work / "before" / name))
    os.rename(work / name, place)
    moved.append((work / name, place))


def _tag(connection: Connection, due: Sequence[ToEnrol]) -> None:
    held = tags.of_all(connection) if any(one.tags for one in due) else {}
    added = []
    for one in due:
        new = sorted(set(one.tags) - set(held.get(one.device, [])))
        if new and len(held.get(one.device, [])) + len(new) > MAX_TAGS:
            raise OperatorError(
                f"{one.device} would have more than {MAX_TAGS} tags; remove some with "
                "`modelwave device tag`"
            )
        added += [(one.device, tag) for tag in new]
    tags.add(connection, added)


def revoke(
    home: Home, store: Transactions, names: Sequence[str], now: float, actor: str = ""
) -> Path:
    """Takes back what the devices were enrolled with, and forgets them: nothing from them counts.
    Returns the folder with the broker's files. Raises OperatorError."""
    with held_back():
        with store.write() as connection:
            its = enrolled.of(connection, names)
            known = devices.places(connection, names)
            strange = [name for name in names if name not in its and name not in known]
            if strange:
                raise OperatorError(f"{listed(strange)}: neither enrolled nor known")
            rows = [_revoked(name, its.get(name), known.get(name), now) for name in names]
            enrolled.put(connection, rows)
            for name in names:
                if devices.is_known(connection, name) or gateways.is_heard(connection, name):
                    acts.forget(connection, home.config.fleet, name, now, actor)
                acts.note(connection, now, actor, DeviceRevoked(device=name))
        return write_access(home, store)


def _revoked(
    name: str, row: Enrolled | None, place: tuple[str, int] | None, now: float
) -> Enrolled:
    held = row or Enrolled(name, place[0] if place else "", 0, "", 0, 0, 0)
    return held._replace(verifier="", revoked_at=held.revoked_at or now)


def approve(
    home: Home, store: Transactions, names: Sequence[str], now: float, actor: str = ""
) -> None:
    """Lets devices count that nobody enrolled, from their next report on. Raises OperatorError."""
    with store.write() as connection:
        waiting = {row.device: row for row in enrolled.those_waiting(connection)}
        its = enrolled.of(connection, names)
        for name in names:
            if name in its and not its[name].active:
                raise OperatorError(
                    f"{name} was revoked: enrol it anew with `device enrol --renew`"
                )
            if name not in waiting:
                raise OperatorError(
                    f"{name} does not wait for approval; `modelwave device list` shows who does"
                )
        enrolled.put(connection, [Enrolled(n, waiting[n].target, 0, "", 0, 0, now) for n in names])
        for name in names:
            acts.note(connection, now, actor, DeviceApproved(device=name))


def write_access(home: Home, store: Transactions) -> Path:
    """Writes the broker's files for those that are enrolled now, and returns their folder."""
    with store.write() as connection:  # of two commands the later one has the newer list
        users = [
            access.User(row.device, row.target, row.verifier)
            for row in enrolled.every(connection)
            if row.active and row.generation
        ]
        return access.write(home, users)


def summary(done: Done) -> str:
    """Returns what was done, in one line."""
    parts = [
        f"{plural(len(names), 'device')} {what}"
        for names, what in (
            (done.enrolled, "enrolled"),
            (done.renewed, "with new secrets"),
            (done.unchanged, "enrolled already, unchanged (--renew makes new secrets)"),
        )
        if names
    ]
    return ", ".join(parts)
