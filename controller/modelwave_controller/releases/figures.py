"""Parses the numbers of an operator exactly: shares, NAME=INTEGER pairs and held-out metrics."""

import json
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError
from modelwave_controller.releases import heldout
from modelwave_controller.releases.heldout import MAX_EXAMPLES, Share
from modelwave_controller.trust.field_types import require
from modelwave_shared import fields, manifests

_PPM = 1_000_000
_MAX_TOLERANCE_BYTES = 1 << 16
_MAX_CHARACTERS = 20  # longer than any number that a document allows
# The three forms of a metric's value. The digits of shares are checked apart.
_SHARE = re.compile(r"-?\d{1,19}\.\d{1,19}", re.ASCII)
_RIGHT_OF_N = re.compile(r"(\d{1,19})/(\d{1,19})", re.ASCII)
_INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)


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


def pairs(texts: Sequence[str], where: str) -> dict[str, int]:
    """Parses texts such as ["any=8", "tflite-runtime=1"]. Raises OperatorError, also for a number
    below zero."""
    found: dict[str, int] = {}
    for text in texts:
        name, separator, number = text.rpartition("=")
        digits = number.removeprefix("-")
        if not separator or not (digits.isascii() and digits.isdigit()):
            raise OperatorError(f"{where}: {text[:100]!r} is not NAME=INTEGER")
        if len(number) > _MAX_CHARACTERS:
            raise OperatorError(f"{where}: {name[:100]}: {len(number)} digits are too many")
        require(fields.token, name, where)
        if int(number) < 0:
            raise OperatorError(f"{where}: {name}: {number} is negative")
        if name in found:
            raise OperatorError(f"{where}: {name} is given twice; give it once")
        found[name] = int(number)
    return found


def metrics(texts: Sequence[str], n: int | None) -> dict[str, int]:
    """Returns a manifest's lineage.metrics for texts such as "accuracy=0.968", a share of `n`
    held-out examples, "accuracy=349/360", right ones of examples, and "epochs=12", an integer.
    Raises OperatorError."""
    found: dict[str, int] = {}
    counted = False
    for text in texts:
        name, _, value = text.rpartition("=")
        counted = counted or bool(_SHARE.fullmatch(value))
        for key, number in _metric(name, value, text, n).items():
            require(fields.token, key, "--metric")
            if key in found:
                raise OperatorError(f"--metric: {key} is given twice; give it once")
            found[key] = number
    if n is not None and not counted:
        raise OperatorError(
            "--n: no --metric NAME=SHARE that it is the count of; write a share with a point, "
            "such as accuracy=0.968 or accuracy=1.0"
        )
    return found


def _metric(name: str, value: str, text: str, n: int | None) -> dict[str, int]:
    """Returns the integers to record of one --metric; `text` is all of it."""
    if name and _INTEGER.fullmatch(value):
        return {name: int(value)}
    if name and (parts := _RIGHT_OF_N.fullmatch(value)):
        return heldout.recorded(name, _right_of(name, int(parts[1]), int(parts[2])))
    if name and _SHARE.fullmatch(value):
        return heldout.recorded(name, _share_of(name, value, n))
    raise OperatorError(
        f"--metric: {text[:60]!r} is none of NAME=SHARE with --n (accuracy=0.968 --n 360), "
        "NAME=RIGHT/N (accuracy=349/360) and NAME=INTEGER (epochs=12)"
    )


def _right_of(name: str, right: int, n: int) -> Share:
    if not 1 <= n <= MAX_EXAMPLES or right > n:
        raise OperatorError(
            f"--metric: {name}: {right} of {n}; give the right ones of 1 to {MAX_EXAMPLES:,} "
            "examples, such as 349/360"
        )
    return Share(round(right * _PPM / n), n)


def _share_of(name: str, value: str, n: int | None) -> Share:
    share = Decimal(value) * _PPM
    if not 0 <= share <= _PPM:
        raise OperatorError(f"--metric: {name}: {value} is no share from 0 to 1, such as 0.968")
    if share != int(share):
        raise OperatorError(f"--metric: {name}: {value}; give at most six digits after the point")
    if n is None:
        raise OperatorError(
            f"--n: give how many held-out examples {name} was measured on, such as --n 360"
        )
    if not 1 <= n <= MAX_EXAMPLES:
        raise OperatorError(f"--n: {n}; give 1 to {MAX_EXAMPLES:,} examples")
    return Share(int(share), n)


def tolerance(
    least_correct: str | None, steps: Sequence[str], file: Path | None = None
) -> dict[str, Any] | None:
    """Returns the manifest's tolerance from one of the three options, None if none was given.
    Raises OperatorError."""
    given = [least_correct is not None, bool(steps), file is not None]
    if sum(given) > 1:
        raise OperatorError(
            "tolerance: give one of --least-correct for a golden set of labels, --steps for one "
            "of outputs, and --tolerance for an .npz"
        )
    if least_correct is not None:
        return {"kind": "labels", "least_ppm": ppm(least_correct, "--least-correct")}
    if steps:
        return {"kind": "outputs", "steps": pairs(steps, "--steps")}
    return _of_file(file) if file else None


def _of_file(file: Path) -> dict[str, Any]:
    data = disk.read_input(file, "--tolerance", _MAX_TOLERANCE_BYTES)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise OperatorError(f"--tolerance: {file} is no JSON: {error}") from error
    require(manifests.tolerance, value, "--tolerance")
    return dict(value)
