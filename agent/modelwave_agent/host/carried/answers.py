"""Reads what the state command of a board prints: the last line of its output that is not empty.

0123…ef                          the sha256 of the file that runs, 64 digits of 0-9 a-f
{"sha256": "0123…ef", …}         the same as JSON, with what the board says besides:

flash_bytes   the room for a file
ram_bytes     the largest piece of memory
kernels       a list of its operators
inferences, failures, labelled, correct    counted since the board's reset
"""

from typing import Any, NamedTuple

from modelwave_shared import fields, strict_json
from modelwave_shared.errors import DocumentError, JsonError
from modelwave_shared.limits import MAX_BYTES, MAX_KERNELS
from modelwave_shared.rules import Integer, ListOf, Object

MAX_ANSWER_BYTES = 3500  # less than what is kept of an output (process.MAX_TAIL_BYTES)
MAX_COUNT = 10**9
COUNTS = ("inferences", "failures", "labelled", "correct")


class Answer(NamedTuple):
    """What the board says of itself; None where it says nothing."""

    sha256: str
    flash_bytes: int | None = None
    ram_bytes: int | None = None
    kernels: tuple[str, ...] | None = None
    counts: tuple[int, ...] | None = None  # in the order of COUNTS


def _sha256(value: Any, where: str) -> None:
    if value != "":
        fields.sha256(value, where)


_COUNT = Integer(0, MAX_COUNT)
ANSWER = Object(
    {"sha256": _sha256},
    {
        "flash_bytes": Integer(0, MAX_BYTES),
        "ram_bytes": Integer(0, MAX_BYTES),
        "kernels": ListOf(fields.token, 0, MAX_KERNELS),
        **dict.fromkeys(COUNTS, _COUNT),
    },
)


def read_answer(out: bytes) -> Answer:
    """Raises ValueError, which says what is wrong with it."""
    lines = [line.strip() for line in out.splitlines()]
    line = next((line for line in reversed(lines) if line), b"")
    if len(line) > MAX_ANSWER_BYTES:
        raise ValueError(f"its last line has more than {MAX_ANSWER_BYTES} bytes")
    try:
        if not line.startswith(b"{"):
            found = line.decode("ascii", "replace")
            fields.sha256(found, "sha256")
            return Answer(found)
        document = strict_json.loads(line)
        ANSWER(document, "state")
    except (DocumentError, JsonError) as error:
        raise ValueError(f"it printed neither a sha256 nor such JSON: {error}") from error
    kernels = document.get("kernels")
    has_counts = any(name in document for name in COUNTS)
    return Answer(
        document["sha256"],
        document.get("flash_bytes"),
        document.get("ram_bytes"),
        None if kernels is None else tuple(kernels),
        tuple(document.get(name, 0) for name in COUNTS) if has_counts else None,
    )
