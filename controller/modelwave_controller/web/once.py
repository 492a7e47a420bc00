"""Does a request that has a key once, however often it is sent (the header Idempotency-Key).

    the key                                  is answered
    is new                                   by doing it
    was there in the last 24 hours           what was answered then, also a refusal
    was there with another call or body      refused: 422
    is being done by this process            what it is answered, when it is done
    is being done by another process         refused: 409; nothing is done twice
    was there, its answer was lost           refused: 409; it was done

A key belongs to a person. It is stored in the same transaction as what the request changes, and the
answer after that: killed in between, a service knows that it was done, but no longer what it had
answered. Not kept, and tried again: what was refused before it was begun, as its fields were wrong
or the person unknown, and what failed for a reason of the service before anything was changed.
"""

import asyncio
import contextlib
import dataclasses
import hashlib
import json
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

from sqlalchemy import Connection

from modelwave_controller.api.call import Call
from modelwave_controller.api.problem import problem_of
from modelwave_controller.desk.desk import Desk
from modelwave_controller.errors import ConflictError, ModelwaveError, OperatorError, StorageError
from modelwave_controller.storage import kept_requests
from modelwave_controller.storage.kept_requests import UNKNOWN, Kept, Key
from modelwave_controller.web.uploads import Taken

HEADER = "Idempotency-Key"
AGAIN = "Idempotent-Replayed"  # a header of an answer that was given before
MAX_KEY = 128
DONE = 200

logger = logging.getLogger(__name__)


class Answer(NamedTuple):
    """`again`: it was given before."""

    status: int
    body: bytes
    again: bool = False


class Turns:
    """Lets so many requests of a key go on at a time; use it in one event loop."""

    def __init__(self, at_once: int = 1) -> None:
        self._at_once = at_once
        self._locks: dict[tuple[str, str], tuple[asyncio.Semaphore, list[None]]] = {}

    @contextlib.asynccontextmanager
    async def turn(self, name: str, key: str = "") -> AsyncIterator[None]:
        lock, users = self._locks.setdefault((name, key), (asyncio.Semaphore(self._at_once), []))
        users.append(None)
        try:
            async with lock:
                yield
        finally:
            users.pop()
            if not users:
                del self._locks[name, key]


def key_of(given: list[str]) -> str:
    """Returns the key in these headers; "": there is none. Raises OperatorError."""
    if not given:
        return ""
    text = given[0].strip().strip('"')
    if len(given) > 1 or not text.isascii() or not text.isprintable() or " " in text:
        raise OperatorError(f"{HEADER}: give one, of visible ASCII characters")
    if not 1 <= len(text) <= MAX_KEY:
        raise OperatorError(f"{HEADER}: give 1 to {MAX_KEY} characters")
    return text


def do(desk: Desk, call: Call[Any, Any], asked: Any, key: str, sent: Taken | None = None) -> Answer:
    """Does what is asked, if this was not done before, and returns the answer; `sent`: the file of
    a call that sends one. Raises ModelwaveError for what may be tried again with the same key."""
    parts = [call.name, asked.model_dump(mode="json"), *([sent.sha256] if sent else [])]
    said = json.dumps(parts, sort_keys=True)
    its = Key(desk.person.name, key, hashlib.sha256(said.encode()).hexdigest())
    with desk.store.read() as connection:
        kept = kept_requests.get(connection, its, desk.clock())
    if kept is not None:
        return _again(its, kept)
    run = secrets.token_hex(8)
    claimed = False

    def claim(connection: Connection) -> None:
        nonlocal claimed
        found = kept_requests.get(connection, its, desk.clock())
        if found is None:
            kept_requests.claim(connection, its, run, desk.clock())
        elif found.run != run:
            raise ConflictError(f"{HEADER}: this request is being done: ask again with the key")
        claimed = True

    def is_done() -> bool:
        if not claimed:
            return False
        with desk.store.read() as connection:
            found = kept_requests.get(connection, its, desk.clock())
        return found is not None and found.run == run

    file = sent.file if sent else None
    keyed = dataclasses.replace(desk, store=desk.store.noting(claim))
    answer = _done(lambda: call.written(keyed.ask(call, asked, file)), is_done)
    if call.secret and answer.status == DONE:
        return answer
    try:
        with keyed.store.write() as connection:
            kept_requests.answer(connection, its, run, answer.status, answer.body)
    except StorageError as error:
        logger.warning("the answer to a request with a key was not kept: %s", error)
    return answer


def _done(do: Callable[[], bytes], is_done: Callable[[], bool]) -> Answer:
    try:
        return Answer(DONE, do())
    except ConflictError:
        raise
    except ModelwaveError as error:
        problem = problem_of(error)
        if problem.status >= 500 and not is_done():
            raise
        return Answer(problem.status, json.dumps(problem.model_dump()).encode())


def _again(its: Key, kept: Kept) -> Answer:
    if kept.request != its.request:
        raise OperatorError(
            f"{HEADER}: it was used for another request in the last 24 hours: take a new one"
        )
    if kept.status == UNKNOWN:
        raise ConflictError(
            f"{HEADER}: this was done before, and what was answered is not known any more: look at "
            "what it has changed before you ask anew, with a new key"
        )
    return Answer(kept.status, kept.answer, again=True)
