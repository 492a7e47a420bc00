"""Parses the numbers of an operator exactly: shares and NAME=INTEGER pairs."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from modelwave_controller.errors import OperatorError
from modelwave_controller.trust.documents import require
from modelwave_shared import fields

_PPM = 1_000_000
_MAX_CHARACTERS = 20  # longer than any number that a document allows


def ppm(text: str, where: str) -> int:
    """Returns a share such as "0.9" in parts per million, above 0 and up to 1,000,000. Raises
    OperatorError for anything else, also for NaN."""
    try:
        share = Decimal(text[:_MAX_CHARACTERS]) * _PPM
    except InvalidOperation:
        share = Decimal("NaN")
    if len(text) > _MAX_CHARACTERS or not share.is_finite() or not 0 < share <= _PPM:
        raise OperatorError(
            f"{where}: {text[:_MAX_CHARACTERS]!r}; give a share above 0 and up to 1, such as 0.9"
        )
    if share != int(share):
        raise OperatorError(f"{where}: {text}; give at most six digits after the point")
    return int(share)


def pairs(texts: Sequence[str], where: str, negative: bool = True) -> dict[str, int]:
    """Parses texts such as ["any=8", "tflite-runtime=1"]. Raises OperatorError, also for a number
    below zero unless `negative`."""
    found: dict[str, int] = {}
    for text in texts:
        name, separator, number = text.rpartition("=")
        digits = number.removeprefix("-")
        if not separator or not (digits.isascii() and digits.isdigit()):
            raise OperatorError(f"{where}: {text[:100]!r} is not NAME=INTEGER")
        if len(number) > _MAX_CHARACTERS:
            raise OperatorError(f"{where}: {name[:100]}: {len(number)} digits are too many")
        require(fields.token, name, where)
        if not negative and int(number) < 0:
            raise OperatorError(f"{where}: {name}: {number} is negative")
        if name in found:
            raise OperatorError(f"{where}: {name} is given twice; give it once")
        found[name] = int(number)
    return found


def tolerance(least_correct: str | None, steps: Sequence[str]) -> dict[str, Any]:
    """Returns the manifest's tolerance from one of the two options. Raises OperatorError."""
    if (least_correct is None) == (not steps):
        raise OperatorError(
            "tolerance: give --least-correct for a golden set of labels, or --steps for one "
            "of outputs"
        )
    if least_correct is not None:
        return {"kind": "labels", "least_ppm": ppm(least_correct, "--least-correct")}
    return {"kind": "outputs", "steps": pairs(steps, "--steps", negative=False)}
