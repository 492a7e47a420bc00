"""Asks an SMP server, and bears what lines and boards do: lost, doubled, late and garbled answers.

A request has a sequence number of its own; answers to others are thrown away. What was not answered
is asked again, so requests are made such that a repetition does no harm (a reset is sent once).
"""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from pydantic import ValidationError
from smp.error import MGMT_ERR
from smp.header import Header
from smpclient.requests.os_management import MCUMgrParametersRead
from smpclient.transport import SMPTransport, SMPTransportDisconnected

from modelwave_agent.host.carried.port import CarrierError

_MIN_BUFFER, _MAX_BUFFER = 96, 65536
_MAX_SHOWN = 100
_STRINGS, _TAG = (2, 3), 6  # major types of CBOR
_MAX_STRAY = 64  # answers to others, while one is awaited


class Patience(NamedTuple):
    """How long a board is waited for, in seconds, and how often it is asked."""

    answer: float = 3
    erase: float = 60  # of the first piece of an upload, before which the slot is erased
    run: float = 30  # of the golden set's input
    tries: int = 4
    poll: float = 0.5  # between questions whether it answers again
    boots: int = 360  # such questions: a boot loader may swap for minutes
    settled: int = 10  # so many answers of the old program mean that the reset was lost


class Refused(CarrierError):
    """The board answered with an error: `code` of the group, or of SMP itself if `group` is -1."""

    def __init__(self, what: str, group: int, code: int) -> None:
        where = "" if group < 0 else f" of group {group}"
        super().__init__(f"{what}: the board answers with error {code}{where}")
        self.group, self.code = group, code

    @property
    def is_unknown_command(self) -> bool:
        return self.group < 0 and self.code == MGMT_ERR.ENOTSUP


class Session:
    """One connection to an SMP server."""

    def __init__(self, transport: SMPTransport, patience: Patience) -> None:
        self._transport, self.patience = transport, patience

    async def meet(self) -> None:
        """Asks for the size of the server's buffer. A server that does not tell it gets pieces that
        any server takes. Raises CarrierError if it does not answer."""
        try:
            size = (await self.ask(MCUMgrParametersRead)).buf_size
        except Refused:
            return
        if not _MIN_BUFFER <= size <= _MAX_BUFFER:
            raise CarrierError(f"SMP: a buffer of {size} bytes cannot be")
        self._transport.initialize(size)

    def room(self, request: Any) -> int:
        """Returns how many bytes fit into the empty field of bytes of `request`."""
        length = self._transport.max_unencoded_size - len(request.BYTES) - 4
        if length < 1:
            raise CarrierError("SMP: the board's buffer is too small for a message")
        return length

    async def ask(
        self, make: Callable[[], Any], seconds: float | None = None, tries: int | None = None
    ) -> Any:
        """Returns the answer to a request that `make` makes, for each try anew. Raises
        CarrierError, and Refused."""
        what, problem = "SMP", "no answer"
        for _ in range(tries or self.patience.tries):
            request = make()
            what = f"SMP {type(request).__name__}"
            try:
                async with asyncio.timeout(seconds or self.patience.answer):
                    await self._transport.send(request.BYTES)
                    return await self._answer(what, request)
            except TimeoutError:
                problem = "no answer"
            except _Garbled as error:
                problem = str(error)
            except (SMPTransportDisconnected, OSError) as error:
                if isinstance(error, CarrierError):
                    raise
                raise CarrierError(f"{what}: {_shown(error)}") from error
        raise CarrierError(f"{what}: {problem}")

    async def _answer(self, what: str, request: Any) -> Any:
        for _ in range(_MAX_STRAY):
            try:
                frame = bytes(await self._transport.receive())
                header = Header.loads(frame[: Header.SIZE])
            except (SMPTransportDisconnected, OSError):  # TimeoutError is one
                raise
            except Exception as error:  # whatever a parser makes of garbage
                raise _Garbled(f"an answer cannot be read: {_shown(error)}") from error
            asked = request.header
            known = (header.sequence, header.group_id, header.command_id, int(header.op))
            if known == (asked.sequence, asked.group_id, asked.command_id, int(asked.op) + 1):
                return _read(what, request, frame)
        raise _Garbled("only answers to others")


class _Garbled(Exception):
    """The answer cannot be read; asking again may help."""


def _read(what: str, request: Any, frame: bytes) -> Any:
    if _has_tag(frame[Header.SIZE :]):
        raise _Garbled("an answer cannot be read: it has a tag")
    # Errors first: a message that bears unknown fields could be read from one.
    for kind in (request._ErrorV1, request._ErrorV2):
        try:
            _accept(what, kind.loads(frame))
        except CarrierError:
            raise
        except Exception:  # it is no such error
            continue
    try:
        answer = request._Response.loads(frame)
    except Exception as error:  # whatever a parser makes of garbage
        raise _Garbled(f"an answer cannot be read: {_shown(error)}") from error
    _accept(what, answer)
    return answer


def _has_tag(data: bytes) -> bool:
    """Returns whether there is a tag in this CBOR (RFC 8949, section 3): SMP has none, and a parser
    takes tag 4 for an order to calculate a number of any length."""
    at = 0
    while at < len(data):
        kind, more = data[at] >> 5, data[at] & 31
        if kind == _TAG:
            return True
        end = at + 1 + (1 << more - 24 if 24 <= more <= 27 else 0)
        length = int.from_bytes(data[at + 1 : end], "big") if more >= 24 else more
        at = end + (length if kind in _STRINGS else 0)
    return False


def _accept(what: str, answer: Any) -> None:
    if error := getattr(answer, "err", None):
        raise Refused(what, int(error.group), int(error.rc))
    if code := getattr(answer, "rc", None):
        raise Refused(what, -1, int(code))


def _shown(error: Exception) -> str:
    """Returns what an error says that may quote what the board has sent."""
    if isinstance(error, ValidationError):
        error = ValueError(f"{error.error_count()} fields are wrong")
    text = str(error) or type(error).__name__
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_MAX_SHOWN])
