"""The order key of a service, held by an agent or a token, which nobody watches.

    what is there                             what the service does
    the agent or token signs                  uses it
    it is not there, hangs, or refuses        the key is away: signs nothing, tries again every
                                              AGAIN_SECONDS, goes on by itself when it is back
    a wrong PIN, a locked token, another key  the same; each reason names what a person has to do

It is asked in a thread of its own, as a token's library may hang for ever; a service that waited
for it would lose its lease.
"""

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from modelwave_controller.errors import KeyAwayError, ModelwaveError, OperatorError, WrongKeyError
from modelwave_controller.trust import signers, ssh_agent, tokens
from modelwave_controller.trust.keys import Ask, Signer
from modelwave_shared import dsse

T = TypeVar("T")

AGAIN_SECONDS = 5  # until it is tried again
MAX_SECONDS = 2  # that one try takes; the lease of the service bears no more
# No document begins so (DSSE): it signs nothing.
_PROBE = b"modelwave asks whether this key can sign"


class WaitingKey:
    """The key that `text` names, one of `allowed`: {key id: raw public key}. `ask` returns the PIN
    of a token, `steady` seconds of a clock that nobody can set."""

    def __init__(
        self,
        text: str,
        allowed: Mapping[str, bytes],
        ask: Ask,
        base: Path,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises OperatorError if the text is wrong, or the key that it names is not allowed."""
        self.name = signers.shown(text)
        self._open: Callable[[], Signer] = partial(
            signers.open_signer, text, ask, base, unattended=True
        )
        self._allowed = allowed
        self._steady = steady
        self._signer: Signer | None = None
        self._away = "it was not tried yet"
        self._again = 0.0
        self._busy: threading.Thread | None = None
        if text.startswith(ssh_agent.PREFIX):
            keyid = ssh_agent.named_keyid(text)
            self._require_allowed(keyid)
            self._public = allowed[keyid]
        else:
            tokens.check(text)
            self._public = next(iter(allowed.values())) if len(allowed) == 1 else b""

    @property
    def public(self) -> bytes:
        """Raises KeyAwayError while it is not known, because several keys are allowed."""
        if not self._public:
            raise KeyAwayError(self._away)
        return self._public

    @property
    def keyid(self) -> str:
        return str(dsse.keyid(self.public))

    def look(self) -> str:
        """Tries again whether it can sign, if it could not and that is due. Returns why it cannot,
        or ""."""
        if self._away and self._steady() >= self._again:
            try:
                self._sign(_PROBE)
                self._away = ""
            except ModelwaveError as error:
                self._give_up(error)
        return self._away

    def sign(self, message: bytes) -> bytes:
        """Raises KeyAwayError."""
        if reason := self.look():
            raise KeyAwayError(reason)
        try:
            return self._sign(message)
        except ModelwaveError as error:
            self._give_up(error)
            raise KeyAwayError(self._away) from error

    def _give_up(self, error: ModelwaveError) -> None:
        self._signer = None  # it is opened anew: the token may have been put in again
        self._away = f"the order key {self.name} is away: {error}"
        self._again = self._steady() + AGAIN_SECONDS

    def _sign(self, message: bytes) -> bytes:
        return self._soon(lambda: self._opened().sign(message))

    def _opened(self) -> Signer:
        if self._signer is None:
            found = self._open()
            self._require_allowed(found.keyid)
            if self._allowed[found.keyid] != found.public:
                raise OperatorError(f"{self.name}: another key with the id {found.keyid}")
            self._signer, self._public = found, found.public
        return self._signer

    def _require_allowed(self, keyid: str) -> None:
        if keyid not in self._allowed:
            raise WrongKeyError(
                f"keys.order: {keyid} is not one of the order keys that the fleet's root names "
                f"({', '.join(self._allowed)})"
            )

    def _soon(self, work: Callable[[], T]) -> T:
        """Returns the result of `work`. Raises KeyAwayError if it takes more than MAX_SECONDS; it
        is left to itself then, and nothing else is begun before it ends."""
        if self._busy is not None and self._busy.is_alive():
            raise KeyAwayError(f"{self.name}: it still has not answered an earlier question")
        done: list[T] = []
        failed: list[ModelwaveError] = []

        def run() -> None:
            try:
                done.append(work())
            except ModelwaveError as error:
                failed.append(error)

        self._busy = threading.Thread(target=run, name="order key", daemon=True)
        self._busy.start()
        self._busy.join(MAX_SECONDS)
        if failed:
            raise failed[0]
        if not done:
            raise KeyAwayError(f"{self.name}: it has not answered for {MAX_SECONDS} seconds")
        return done[0]
