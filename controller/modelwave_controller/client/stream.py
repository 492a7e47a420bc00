"""Follows the log by Server-Sent Events, and goes on after the last event where it is cut off."""

import http.client
import time
from collections.abc import Generator, Iterator
from typing import NamedTuple

from modelwave_controller.api import fleet
from modelwave_controller.client.remote import Remote, not_reached
from modelwave_controller.errors import BusyError, ServerError, StorageError
from modelwave_controller.results.log import LogEntry

PATIENCE_SECONDS = 300.0
SILENT_SECONDS = 45.0  # the service says something each 15 seconds
AGAIN_SECONDS = 2.0  # until the service says otherwise
MAX_LINE_BYTES = 1 << 20

_Block = dict[str, str]


def follow(remote: Remote, asked: fleet.Stream, patience: float) -> Generator[LogEntry, None, None]:
    place, again, heard = asked.after, AGAIN_SECONDS, time.monotonic()
    while True:
        try:
            with remote.streaming(fleet.STREAM, asked, SILENT_SECONDS, place) as answer:
                for block in _blocks(answer, remote.url):
                    found = _read(block, remote.url)
                    place = place if found.id is None else found.id
                    again = again if found.again is None else found.again
                    if found.entry is not None:
                        yield found.entry
                    heard = time.monotonic()
        except (OSError, http.client.HTTPException) as error:
            if time.monotonic() - heard >= patience:
                raise not_reached(remote.url, error) from error
        except (BusyError, StorageError):
            if time.monotonic() - heard >= patience:
                raise
        time.sleep(min(again, patience))


class _Read(NamedTuple):
    """What a block says; None: nothing of it."""

    id: int | None
    again: float | None
    entry: LogEntry | None


def _read(block: _Block, url: str) -> _Read:
    its, again, entry = (block.get(name) for name in ("id", "retry", "data"))
    try:
        return _Read(
            None if its is None else int(its),
            None if again is None else int(again) / 1000,
            None if entry is None else fleet.STREAM.answer.validate_json(entry),
        )
    except ValueError as error:
        raise ServerError(
            f"{url}: an event that this modelwave does not understand: is it the same version as "
            "the service?"
        ) from error


def _blocks(answer: http.client.HTTPResponse, url: str) -> Iterator[_Block]:
    """Yields the fields of each block when it is whole; a comment has the name ""."""
    block: _Block = {}
    while line := answer.readline(MAX_LINE_BYTES):
        if len(line) == MAX_LINE_BYTES:
            raise ServerError(f"{url}: a line of more than {MAX_LINE_BYTES} bytes")
        text = line.decode(errors="replace").rstrip("\r\n")
        if not text:
            yield block
            block = {}
            continue
        name, _, value = text.partition(":")
        block[name] = value.removeprefix(" ")
