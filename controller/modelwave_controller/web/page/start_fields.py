"""Reads the form that starts a rollout: what the call says, and beside which field an error
stands. Pure.

The fields of the plan say what `modelwave rollout start` says by options; a whole plan as TOML is
given in their place.
"""

from collections.abc import Mapping
from typing import Any

from modelwave_controller.api import starts as calls
from modelwave_controller.errors import OperatorError
from modelwave_controller.phrases import whole_seconds_of
from modelwave_controller.rollout import plan
from modelwave_controller.rollout.plan import Plan

OF_PLAN = ("stages", "soak", "approval", "another", "gates", "window", "trial")
REASONS = ("supersede", "accept_blind", "lift_ban")
FIELDS = ("model", "release", "targets", *OF_PLAN, "plan", "start_in", *REASONS, "seed")
STAGES = ", ".join(f"{percent:g}" for percent in plan.DEFAULT_PERCENTS)
MAX_PLAN_CHARACTERS = 4000

Fields = Mapping[str, str]

# Fields by the plan's keys and the command's options that have another name.
_NAMED_ELSEWHERE = {
    "percent": "stages",
    "soak_seconds": "soak",
    "approval_by": "another",
    "seconds": "trial",
    "window_seconds": "window",
    "target": "targets",
    "start_at": "start_in",
}


def asked(form: Fields, now: float) -> calls.Start:
    """Returns what the call says. Raises OperatorError, which begins with the field's name."""
    given = {name: form.get(name, "").strip() for name in FIELDS}
    return calls.START.say(
        model=given["model"],
        release=given["release"],
        targets=_listed(given["targets"]),
        plan=_plan(given),
        seed=_number(given["seed"]),
        start_at=_start_at(given["start_in"], now),
        **{name: given[name] for name in REASONS},
    )


def beside(problem: str) -> tuple[str, str]:
    """Returns the field that an error is about and what is told beside it; "" and all of it if it
    names none."""
    where, colon, told = problem.partition(": ")
    name = where.strip("-").lower().replace("-", "_") if colon else ""
    for part in reversed(name.split(".")):
        field = _NAMED_ELSEWHERE.get(part, part)
        if field in FIELDS:
            return field, told
    return "", problem


def _plan(given: Fields) -> Plan | None:
    if given["plan"]:
        if also := [name for name in OF_PLAN if given[name]]:
            raise OperatorError(
                f"plan: give it, or the fields of a plan, such as {also[0]}, but not both"
            )
        return _whole_plan(given["plan"])
    settings = _settings(given)
    try:
        return plan.make_plan(settings) if settings else None
    except OperatorError as error:  # names a key of the plan, which is a field here
        raise OperatorError(str(error).removeprefix("plan: ")) from error


def _whole_plan(text: str) -> Plan:
    try:
        return plan.parse_plan(text.encode(), "")
    except OperatorError as error:
        raise OperatorError(f"plan: {str(error).lstrip(': ')}") from error


def _settings(given: Fields) -> dict[str, Any]:
    found: dict[str, Any] = {}
    stages = _stages(given)
    if stages:
        found["stages"] = stages
    if given["gates"]:
        found["gates"] = [line.strip() for line in given["gates"].splitlines() if line.strip()]
    if given["window"]:
        found["judge"] = {"window": given["window"]}
    if given["trial"]:
        found["trial"] = {"time": given["trial"]}
    return found


def _stages(given: Fields) -> list[dict[str, Any]]:
    if not any(given[name] for name in ("stages", "soak", "approval", "another")):
        return []
    stages: list[dict[str, Any]] = [{"percent": one} for one in _percents(given["stages"])]
    for stage in stages:
        if given["soak"]:
            stage["soak"] = given["soak"]
    numbers = _listed(given["approval"])
    if given["another"] and not numbers:
        raise OperatorError("approval: name the stages that another person has to approve")
    for number in numbers:
        if not number.isdecimal() or len(number) > 4 or not 1 <= int(number) <= len(stages):
            raise OperatorError(
                f"approval: {number[:40]!r} is no stage; give numbers from 1 to {len(stages)}"
            )
        stages[int(number) - 1] |= {"approval": True}
        if given["another"]:
            stages[int(number) - 1]["approval_by"] = "another"
    return stages


def _percents(text: str) -> list[float]:
    try:
        return [float(part.removesuffix("%")) for part in _listed(text or STAGES)]
    except ValueError as error:
        raise OperatorError(
            f"stages: {text[:40]!r}; give percents with commas between, such as {STAGES}"
        ) from error


def _start_at(text: str, now: float) -> float | None:
    try:
        return now + whole_seconds_of(text) if text else None
    except ValueError as error:
        raise OperatorError(f"start_in: {error}") from error


def _number(text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or len(text) > 18:
        raise OperatorError("seed: give a whole number")
    return int(text)


def _listed(text: str) -> list[str]:
    return text.replace(",", " ").split()
