"""Checks passwords without delaying those who gave theirs before, or come from elsewhere.

A check takes 0.02 s and more of a core if the hash is argon2's, so those who wait get turns:

- who gives the password with which the same user was let in before, since the broker began, does
  not wait. What is kept for that is a keyed hash of the password, under a key of this process.
- the others wait, CHECKS_AT_ONCE of them are checked at once, in threads. The next turn is of the
  address with the fewest wrong passwords, and of several with as few, of the one that has waited
  longest; within an address, of the user with the fewest wrong ones there.
- after a wrong password the turn is given back WAIT_FACTOR times as long later as the check took of
  a core, so that a flood of them leaves most of the machine to others.
- hashes that `device enrol` writes cost a tenth of a millisecond, as their passwords are random:
  they are checked at once.
"""

import asyncio
import hashlib
import hmac
import secrets
import time
from collections import OrderedDict, defaultdict, deque
from collections.abc import Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor

import argon2

from modelwave_controller.broker import pbkdf2
from modelwave_controller.broker.credentials import HASHER
from modelwave_controller.broker.limits import MAX_CHECKS_BY_ADDRESS, WAIT_FACTOR

# How many passwords are checked at the same time; each takes a core and argon2's memory.
CHECKS_AT_ONCE = 2
# Of so many addresses, and users at addresses, wrong passwords are counted; then the oldest is
# forgotten.
MAX_COUNTED = 10_000


class TooManyChecks(Exception):
    """So many logins of the address wait that this one has to come again later."""


class Passwords:
    """The users of a broker, with the hashes of their passwords."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = dict(users)
        self._pool = ThreadPoolExecutor(CHECKS_AT_ONCE, thread_name_prefix="broker-password")
        self._turns = Turns(CHECKS_AT_ONCE)
        self._key = secrets.token_bytes(32)
        self._known: dict[str, bytes] = {}

    async def check(self, user: str | None, password: str | None, address: str) -> bool:
        """Returns whether this is the user's password. A check that is cancelled before its turn is
        not made. Raises TooManyChecks."""
        digest = self._users.get(user or "")
        if user is None or digest is None:
            return False
        password = password or ""
        if pbkdf2.is_quick(digest):
            return pbkdf2.verify(digest, password)
        proof = hmac.digest(self._key, repr((digest, password)).encode(), hashlib.sha256)
        if hmac.compare_digest(self._known.get(user, b""), proof):
            return True
        await self._turns.take(address, user)
        good = False
        try:
            loop = asyncio.get_running_loop()
            good, taken = await loop.run_in_executor(self._pool, _verify, digest, password)
            if not good:
                await asyncio.sleep(WAIT_FACTOR * taken)
        finally:
            self._turns.give_back()
        if good and self._users.get(user) == digest:
            self._known[user] = proof
        else:
            self._turns.count_wrong(address, user)
        return good

    def replace(self, users: Mapping[str, str]) -> set[str]:
        """Takes other users, and returns those of before who are gone or have another hash."""
        changed = {user for user, digest in self._users.items() if users.get(user) != digest}
        for user in changed:
            self._known.pop(user, None)
        self._users = dict(users)
        return changed

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


class Turns:
    """Gives a bounded number of turns, in the order that the module's docstring says."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: dict[str, dict[str, deque[asyncio.Future[None]]]] = {}
        self._last_turn: dict[str, int] = defaultdict(int)
        self._turn = 0
        self._wrong: OrderedDict[Hashable, int] = OrderedDict()

    async def take(self, address: str, user: str) -> None:
        """Returns when it is the turn of this user at this address; then call give_back."""
        if sum(map(len, self._waiting.get(address, {}).values())) >= MAX_CHECKS_BY_ADDRESS:
            raise TooManyChecks("came while many logins of its address wait for their check")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(address, {}).setdefault(user, deque()).append(turn)
        self._give()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it came at the same moment
                self.give_back()
            raise

    def give_back(self) -> None:
        self._free += 1
        self._give()

    def count_wrong(self, address: str, user: str) -> None:
        for who in (address, (address, user)):
            self._wrong[who] = self._wrong.pop(who, 0) + 1
        while len(self._wrong) > MAX_COUNTED:
            self._wrong.popitem(last=False)

    def _give(self) -> None:
        while self._free and self._waiting:
            address = min(self._waiting, key=self._rank)
            users = self._waiting[address]
            user = min(users, key=lambda one: self._wrong.get((address, one), 0))
            turn = users[user].popleft()
            if not users[user]:
                del users[user]
            if not users:
                del self._waiting[address]
            if turn.done():  # it was cancelled
                continue
            self._turn += 1
            self._last_turn[address] = self._turn
            self._free -= 1
            turn.set_result(None)
        if not self._waiting:
            self._last_turn.clear()

    def _rank(self, address: str) -> tuple[int, int]:
        return self._wrong.get(address, 0), self._last_turn.get(address, 0)


def _verify(digest: str, password: str) -> tuple[bool, float]:
    """Returns whether the hash is of the password, and the seconds of a core that this took."""
    begun = time.thread_time()
    good = _matches(digest, password)
    return good, time.thread_time() - begun


def _matches(digest: str, password: str) -> bool:
    if pbkdf2.is_hash(digest):
        return pbkdf2.verify(digest, password)
    try:
        return HASHER.verify(digest, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False
