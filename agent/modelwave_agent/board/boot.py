"""Starts a board's program with the agent that is to run
(docs/decisions/0025-boards-run-the-agent-from-its-bank.md). It is installed once, as the module
`modelwave_boot`, and never updated itself. main.py is

import modelwave_boot
modelwave_boot.run("program")           # program.py is what main.py was before

The agent may be in a bank of the model `agent`, "a" or "b", or be the one that was installed with
this module, OWN.

Rules:

  1. The journal of the model `agent` says what is live. It is read here, and never written. What
     cannot be read says nothing: OWN starts.
  2. A start of a bank is written down before anything of the bank is imported. What cannot be
     written down is not put on trial.
  3. If the journal says `trial`, the bank that is not live starts, once for each try of the order.
     If this try was started before, it is over, however it ended: what is confirmed starts, and is
     told the reason, if there is one (`verdict`).
  4. A confirmed bank whose package is not what was signed, or that was started MAX_STARTS times in
     a row without a report that came back, is passed over: first for the other bank, if that was
     confirmed once, then for OWN. The one that starts is told (`lost`).
  5. An agent on trial fails if the program ends by an exception, if no report of it comes back in
     time, or if it has not confirmed itself after MAX_TRIAL_SECONDS.

This module imports nothing of the agent. What it reads of the journal (`state`, `live`, `order`,
`tries`, and of a bank `confirmed` and `files`), and the names in Start, are a contract with agents
of years later.
"""

import asyncio
import hashlib
import io
import json
import os
import sys
import time

import vfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Record = dict[str, Any]

OWN = ""
BANKS = "ab"
MOUNT = "/mw-agent"  # where the package of a bank can be imported from
MAX_STARTS = 10  # of a confirmed bank, in a row
CONNECT_SECONDS = 300  # for an agent on trial to bring a report back
MAX_TRIAL_SECONDS = 8 * 86400  # more than an order may want
PAUSE_SECONDS = 10  # in which a person can read why the program has ended
MAX_REASON = 200  # characters
SPARE_BYTES = 2048
MAX_INDEX_BYTES = 32768

START: "Start | None" = None  # how the agent that runs was started

_MARK = b"MWJ1 "  # of a record: MARK COUNTER LENGTH SHA256\n JSON
_SHA256_AT, _JSON_AT = 31, 96
_MAX_RECORD_BYTES = 16384
_PACKAGE = b"MWP1 "  # of a package: MARK LENGTH\n index, files
_INDEX_AT = 14
_FOLDER, _FILE = 0x4000, 0x8000  # in the mode of a stat
_ENOENT = 2
_CLOSE, _BUFFER_SIZE = 4, 11  # of a stream's ioctl


def run(
    program: str,
    folder: str = "/modelwave",
    connect_seconds: int = CONNECT_SECONDS,
    reset: "Callable[[], object] | None" = None,
) -> None:
    """Imports the module `program`, which runs until the board is reset. `folder`: as of
    BoardAgent. `connect_seconds`: for a new agent to bring a report to the broker and back.
    `reset`: resets the board; None: machine.reset."""
    global START
    START = Start(folder, reset or _reset)
    START.choose()
    if START.on_trial:
        START.spare = bytes(SPARE_BYTES)
        asyncio.create_task(START.guard(connect_seconds))  # noqa: RUF006 (MicroPython keeps it)
    try:
        __import__(program)
        if not START.on_trial:
            return
        reason = "the program has ended"
    except (KeyboardInterrupt, SystemExit):
        raise  # to the prompt, and a reset
    except BaseException as error:  # also the CancelledError that comes out of a task
        START.spare = b""
        reason = _told(error)
    START.fail(reason, PAUSE_SECONDS)


class Start:
    """What was started. `place`: a bank or OWN. `verdict`: why the trial before it has failed.
    `lost`: why the live bank was passed over."""

    def __init__(self, folder: str, reset: "Callable[[], object]") -> None:
        self.folder = folder
        self.reset = reset
        self.place = OWN
        self.on_trial = False
        self.verdict = self.lost = ""
        self.has_reported = False
        self.spare = b""  # heap in which an end can be told, as there may be none left then
        # {trial: the try that was started last, reason: why it has failed, starts: {bank: count}}
        self._note: "Any" = _read(folder + "/agent/boot")[1] or {}

    def choose(self) -> None:
        """Chooses by the rules above, and makes the package of a bank importable."""
        try:
            record = _newest(self.folder + "/agent/journal")
            place = self._candidate(record) or self._confirmed(record)
            if place:
                vfs.mount(Package(self._package(place)), MOUNT)
                sys.path.insert(0, MOUNT)
            self.place = place
        except Exception as error:
            reason = "%s: %s" % (type(error).__name__, error)
            if self.on_trial:
                self.verdict = reason
            else:
                self.lost = reason
            self.place, self.on_trial = OWN, False

    # What the agent that was started says.

    def reported(self) -> None:
        """A report has come back from the broker."""
        self.has_reported = True
        if self._note.get("starts", {}).pop(self.place, 0):
            self._write()

    def confirmed(self) -> None:
        """It was on trial, and is live now."""
        self.on_trial = False
        self.spare = b""

    # How it ends.

    async def guard(self, connect_seconds: int) -> None:
        """Ends an agent on trial that is late."""
        seconds = 0
        while self.on_trial:
            if not self.has_reported and seconds >= connect_seconds:
                self.spare = b""
                told = "no report of it came back from the broker within %d seconds"
                self.fail(told % connect_seconds)
            if seconds >= MAX_TRIAL_SECONDS:
                self.fail("it has not confirmed itself after %d seconds" % seconds)
            await asyncio.sleep(1)
            seconds += 1

    def fail(self, reason: str, pause: int = 0) -> None:
        """Resets the board; an agent on trial has failed for this reason."""
        self.spare = b""
        try:
            if self.on_trial:
                self._note["reason"] = reason[:MAX_REASON]
                self._write()
        except Exception as error:  # no memory: the board is reset all the same
            _told(error)
        time.sleep(pause)
        self.reset()

    # The choice.

    def _candidate(self, record: "Record | None") -> str:
        """Returns the bank whose trial begins now, or OWN."""
        if not record:
            return OWN
        if record["state"] != "trial":
            if self._note.pop("trial", ""):  # a clean stop may have given this try back
                self._write()
            return OWN
        place = BANKS[1 - record["live"]]
        trial = "%s %d" % (record["order"]["sha256"], record["tries"])
        if self._note.get("trial") == trial:
            self.verdict = self._note.get("reason", "")
            return OWN
        if self._damage(record, 1 - record["live"]):
            return OWN
        starts = self._note.get("starts", {})
        starts.pop(place, 0)
        self._note = {"trial": trial, "starts": starts}
        self.on_trial = self._write()
        if not self.on_trial:
            self.verdict = "its start cannot be written down in agent/boot: is the flash full?"
        return place if self.on_trial else OWN

    def _confirmed(self, record: "Record | None") -> str:
        """Returns the confirmed bank that starts now, or OWN."""
        if not record:
            return OWN
        starts = self._note.setdefault("starts", {})
        for bank in (record["live"], 1 - record["live"]):
            place, entry = BANKS[bank], record["banks"][bank]
            if not entry or not entry["confirmed"]:
                continue
            problem = self._damage(record, bank)
            if starts.get(place, 0) >= MAX_STARTS:
                problem = "%d starts in a row brought no report back" % MAX_STARTS
            if not problem:
                starts[place] = starts.get(place, 0) + 1
                self._write()
                return place
            if bank == record["live"]:
                self.lost = "bank %s: %s" % (place, problem)
        return OWN

    def _damage(self, record: "Record", bank: int) -> str:
        """Returns why the package of a bank is not what was signed, or ""."""
        try:
            found = _sha256(self._package(BANKS[bank]))
        except OSError as error:
            return "its package cannot be read: %s" % error
        for file in record["banks"][bank]["files"]:
            if file["role"] == "model" and file["sha256"] == found:
                return ""
        return "its package is not what was signed"

    def _package(self, place: str) -> str:
        return "%s/agent/%s.model" % (self.folder, place)

    def _write(self) -> bool:
        """Whether the note is durable now."""
        body = json.dumps(self._note).encode()
        head = _MARK + b"%016x %08x " % (1, len(body))
        data = head + _hex(hashlib.sha256(head + body).digest()) + b"\n" + body
        try:
            with open(self.folder + "/agent/boot", "wb") as file:
                file.write(data)
            if hasattr(os, "sync"):
                os.sync()
            return True
        except OSError:
            return False


class Package:
    """A package of the agent in one file, as a file system that can be mounted. It begins with an
    index; the files follow in its order:

        MWP1 LENGTH\\n    LENGTH: of the index, in 8 hex digits
        \\nPATH AT SIZE\\nPATH AT SIZE\\n    AT: from the end of the index, in decimal
    """

    def __init__(self, path: str) -> None:
        """Raises OSError, and ValueError if the file is no package."""
        self.path = path
        with open(path, "rb") as file:
            head = file.read(_INDEX_AT)
            if head[:5] != _PACKAGE or head[-1:] != b"\n":
                raise ValueError("no package of the agent for boards")
            length = int(head[5:-1], 16)
            if not 0 < length <= MAX_INDEX_BYTES:
                raise ValueError("its index has %d bytes" % length)
            self.index = file.read(length)
        if len(self.index) != length or self.index[:1] != b"\n" or self.index[-1:] != b"\n":
            raise ValueError("its index is not whole")
        self.start = _INDEX_AT + length

    def _find(self, path: str) -> "list[bytes] | None":
        """Returns [at, size] of a file, or None."""
        named = b"\n" + path.strip("/").encode() + b" "
        at = self.index.find(named)
        if at < 0:
            return None
        at += len(named)
        found: "list[bytes]" = self.index[at : self.index.find(b"\n", at)].split()
        return found

    # What vfs.mount asks of a file system.

    def mount(self, readonly: bool, mkfs: bool) -> None:
        pass

    def umount(self) -> None:
        pass

    def stat(self, path: str) -> "tuple[int, ...]":
        found = self._find(path)
        if found:
            return (_FILE, 0, 0, 0, 0, 0, int(found[1]), 0, 0, 0)
        if b"\n" + path.strip("/").encode() + b"/" in self.index:
            return (_FOLDER, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        raise OSError(_ENOENT)

    def open(self, path: str, mode: str) -> "Piece":
        found = self._find(path)
        if not found:
            raise OSError(_ENOENT)
        file = open(self.path, "rb")  # noqa: SIM115 (the piece closes it)
        file.seek(self.start + int(found[0]))
        return Piece(file, int(found[1]))


class Piece(io.IOBase):
    """A file of a package, to be read."""

    def __init__(self, file: "Any", size: int) -> None:
        self.file = file
        self.left = size

    def readinto(self, buffer: bytearray) -> int:
        view = memoryview(buffer)[: min(len(buffer), self.left)]
        count: int = self.file.readinto(view)
        self.left -= count
        return count

    def ioctl(self, request: int, argument: int) -> int:
        if request == _CLOSE:
            self.file.close()
        return 255 if request == _BUFFER_SIZE else 0


def _newest(path: str) -> "Record | None":
    """Returns the newest record of a journal, or None."""
    first, second = _read(path + ".0"), _read(path + ".1")
    return max(first, second, key=lambda found: found[0])[1]


def _read(path: str) -> "tuple[bytes, Record | None]":
    """Returns (counter, record) of a file; (b"", None) if it holds no whole record."""
    nothing = b"", None
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_RECORD_BYTES)
        body = data[_JSON_AT : _JSON_AT + int(data[22:30], 16)]
    except (OSError, ValueError):
        return nothing
    if data[:5] != _MARK:
        return nothing
    if _hex(hashlib.sha256(data[:_SHA256_AT] + body).digest()) != data[_SHA256_AT : _JSON_AT - 1]:
        return nothing
    found = json.loads(body)
    return (data[5:21], found) if type(found) is dict else nothing


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    buffer = bytearray(1024)
    view = memoryview(buffer)
    with open(path, "rb") as file:
        while True:
            count = file.readinto(buffer)
            if not count:
                return _hex(digest.digest()).decode()
            digest.update(view[:count])


def _hex(data: bytes) -> bytes:
    digits: str = data.hex()
    return digits.encode()


def _told(error: BaseException) -> str:
    """Shows the error. Returns its class and message, or the class alone if there is no memory for
    more, or the message cannot be told."""
    name = type(error).__name__
    try:
        sys.print_exception(error)  # type: ignore[attr-defined, unused-ignore]
        return "%s: %s" % (name, error)
    except Exception:
        return name


def _reset() -> None:
    import machine

    machine.reset()
