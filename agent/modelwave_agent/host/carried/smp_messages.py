"""Messages of our own SMP group, by which a firmware tells of its model (docs/mcuboot.md). The
numbers are wire format. A firmware may send more fields than a gateway knows."""

from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from smp import error, message

from modelwave_shared import fields

GROUP = 77  # in the range for users, from 64 on
HEALTH, FACTS, RUN, OUTPUT, WINDOW, KEEP = range(6)

MAX_TEXT = 200
MAX_KERNELS = 64
MAX_LATENCIES = 64
_Size = Field(ge=0, le=1 << 40)
_Count = Field(default=0, ge=0, le=1 << 31)


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _kernel(name: str) -> str:
    fields.token(name, "kernels")  # its error is a ValueError
    return name


_Text = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(_printable)]


class Failure(error.ErrorV1):
    _GROUP_ID = GROUP


class GroupFailure(error.ErrorV2):  # type: ignore[type-arg]
    _GROUP_ID = GROUP


class _Asks(BaseModel):
    _ErrorV1: ClassVar[type[Failure]] = Failure
    _ErrorV2: ClassVar[type[GroupFailure]] = GroupFailure


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class HealthAnswer(message.ReadResponse, _Answer):
    """`ok`, or `why` not; the sha256 of the model that the firmware runs."""

    _GROUP_ID, _COMMAND_ID = GROUP, HEALTH
    ok: bool
    why: _Text = ""
    model: bytes = Field(default=b"", max_length=32)


class Health(_Asks, message.ReadRequest):
    _GROUP_ID, _COMMAND_ID = GROUP, HEALTH
    _Response: ClassVar[type[HealthAnswer]] = HealthAnswer


class FactsAnswer(message.ReadResponse, _Answer):
    """`slot`: the largest image that the spare slot takes; `ram`: the largest arena that a model
    may have; `kernels` from number `off` on, of `all`."""

    _GROUP_ID, _COMMAND_ID = GROUP, FACTS
    slot: int = _Size
    ram: int = _Size
    kernels: list[Annotated[str, AfterValidator(_kernel)]] = Field(
        default_factory=list, max_length=MAX_KERNELS
    )
    all: int = Field(default=0, ge=0, le=256)


class Facts(_Asks, message.ReadRequest):
    _GROUP_ID, _COMMAND_ID = GROUP, FACTS
    _Response: ClassVar[type[FactsAnswer]] = FactsAnswer
    off: int = 0


class RunAnswer(message.WriteResponse, _Answer):
    """`off`: the bytes of input `n` that the board has; `out`: with the last of them, the bytes of
    output that are there to be read."""

    _GROUP_ID, _COMMAND_ID = GROUP, RUN
    off: int = Field(ge=0, le=1 << 31)
    out: int = Field(default=0, ge=0, le=1 << 24)


class Run(_Asks, message.WriteRequest):
    """Input number `n`, `len` bytes long, in pieces. The board runs the model when it is whole."""

    _GROUP_ID, _COMMAND_ID = GROUP, RUN
    _Response: ClassVar[type[RunAnswer]] = RunAnswer
    n: int
    len: int
    off: int
    data: bytes


class OutputAnswer(message.ReadResponse, _Answer):
    _GROUP_ID, _COMMAND_ID = GROUP, OUTPUT
    n: int
    data: bytes = Field(max_length=65535)


class Output(_Asks, message.ReadRequest):
    """Asks for the output of input `n` from byte `off` on."""

    _GROUP_ID, _COMMAND_ID = GROUP, OUTPUT
    _Response: ClassVar[type[OutputAnswer]] = OutputAnswer
    n: int
    off: int


class WindowAnswer(message.WriteResponse, _Answer):
    """What was counted in window `seq`, which is the same until it was acknowledged."""

    _GROUP_ID, _COMMAND_ID = GROUP, WINDOW
    seq: int = Field(ge=0, le=1 << 31)
    inferences: int = _Count
    failures: int = _Count
    labelled: int = _Count
    correct: int = _Count
    why: _Text = ""
    us: list[int] = Field(default_factory=list, max_length=MAX_LATENCIES)


class Window(_Asks, message.WriteRequest):
    """Acknowledges window `ack`, and asks for the next one."""

    _GROUP_ID, _COMMAND_ID = GROUP, WINDOW
    _Response: ClassVar[type[WindowAnswer]] = WindowAnswer
    ack: int


class KeepAnswer(message.WriteResponse, _Answer):
    _GROUP_ID, _COMMAND_ID = GROUP, KEEP


class Keep(_Asks, message.WriteRequest):
    """Confirms the data image in this pair of slots: SMP itself confirms the running program."""

    _GROUP_ID, _COMMAND_ID = GROUP, KEEP
    _Response: ClassVar[type[KeepAnswer]] = KeepAnswer
    image: int
