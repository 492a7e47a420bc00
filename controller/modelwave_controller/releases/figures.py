"""Figures as an operator types them: shares and name=number pairs, read exactly."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from modelwave_controller.errors import OperatorError
from modelwave_controller.trust.documents import require
from modelwave_shared import fields

_PPM = 1_000_000
_MAX_CHARACTERS = 20  # more than any figure that a document takes


def ppm(text: str, where: str) -> int:
    """A share such as 0.9 as parts per million, more than 0 and at most all of them. Raises
    OperatorError, as for NaN: what cannot be read never means "no threshold"."""
    try:
        share = Decimal(text[:_MAX_CHARACTERS]) * _PPM
    except InvalidOperation:
        share = Decimal("NaN")
    if len(text) > _MAX_CHARACTERS or not share.is_finite() or not 0 < share <= _PPM:
        raise OperatorError(f"{where}: a share above 0 and up to 1, such as 0.9")
    if share != int(share):
        raise OperatorError(f"{where}: at most six digits after the point")
    return int(share)


def pairs(texts: Sequence[str], where: str, negative: bool = True) -> dict[str, int]:
    """["any=8", "tflite-runtime=1"] as a dict. Raises OperatorError, also for a number below
    zero unless these may be `negative`."""
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
            raise OperatorError(f"{where}: {name} stands twice")
        found[name] = int(number)
    return found


def tolerance(least_correct: str | None, steps: Sequence[str]) -> dict[str, Any]:
    """The manifest's tolerance from one of the two options. Raises OperatorError."""
    if (least_correct is None) == (not steps):
        raise OperatorError(
            "tolerance: give --least-correct for a golden set of labels, or --steps for one "
            "of outputs"
        )
    if least_correct is not None:
        return {"kind": "labels", "least_ppm": ppm(least_correct, "--least-correct")}
    return {"kind": "outputs", "steps": pairs(steps, "--steps", negative=False)}
