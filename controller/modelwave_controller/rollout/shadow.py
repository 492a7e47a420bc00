"""What a plan says about shadow stages, in which devices run the release beside the live one before
it ever answers; and its checks. Pure.

    [shadow]                        # for stages with shadow = true, which come first
    time = "1h"                     # how long a device runs the release beside the live one
    share_percent = 10              # of the live inputs that it runs on
    ram = "256 MiB"                 # of its process: more ends the shadow; a device needs it free
    latency_ms = 1000               # mean of an inference: more ends the shadow
    compare = "golden"              # as the golden set does; "classes": by the greatest output
    else_trial = false              # true: a device that cannot do this goes straight on trial

A shadow stage has its own `gates`, or else those of the plan that are about agreement, or else
DEFAULT_GATES, which judge where the release signs an expected agreement. All of them are limits:
there is nothing to compare with, as no device runs the release otherwise. The other gates of a plan
are for the stages in which the release answers.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from modelwave_controller.phrases import duration
from modelwave_controller.rollout.planned_gates import (
    AGREEMENT,
    EXPECTED,
    FAILURES,
    LATENCY,
    LIMIT,
    PlannedGate,
    parse_gate,
)
from modelwave_controller.trust.field_types import ShadowRam, ShadowSeconds
from modelwave_shared.limits import MILLION

DEFAULT_GATES = ("agreement >= expected - 0.02",)
DEFAULT_SECONDS = 3600
MAX_LATENCY_MS = 10**6
DAY_SECONDS = 86400

_UNITS = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_SIZE = re.compile(r"(\d{1,16}) ?(B|KiB|MiB|GiB|)", re.ASCII)
_JUDGED = (AGREEMENT, FAILURES, LATENCY)
_HOW = '[shadow] with time = "1h", and with share_percent, ram, latency_ms, compare or else_trial'


def _bytes(value: Any) -> Any:
    """Returns the bytes of a size such as "256 MiB"; what is no text as it is."""
    if not isinstance(value, str):
        return value
    found = _SIZE.fullmatch(value)
    if found is None:
        raise ValueError(f'{value[:40]!r} is no size; give bytes, or one such as "256 MiB"')
    return int(found[1]) * _UNITS[found[2]]


class Shadow(BaseModel):
    """How devices run the release beside the live one. `ram` is in bytes. `compare`: golden sets of
    outputs want the outputs of one network, from which those of another differ by more."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    seconds: ShadowSeconds = DEFAULT_SECONDS
    share_percent: Annotated[float, Field(gt=0, le=100)] = 10.0
    ram: Annotated[ShadowRam, BeforeValidator(_bytes)] = 256 * 2**20
    latency_ms: Annotated[float, Field(gt=0, le=MAX_LATENCY_MS)] = 1000.0
    compare: Literal["golden", "classes"] = "golden"
    else_trial: bool = False

    @property
    def in_order(self) -> dict[str, Any]:
        """As the field `extra.shadow` of an order has it."""
        return {
            "seconds": self.seconds,
            "share_ppm": max(1, round(self.share_percent * MILLION / 100)),
            "ram": self.ram,
            "latency_us": max(1, round(self.latency_ms * 1000)),
            "classes": self.compare == "classes",
            "else_trial": self.else_trial,
        }


class _Stage(Protocol):
    """The fields of a plan's stage that are read here."""

    @property
    def shadow(self) -> bool: ...
    @property
    def gates(self) -> tuple[str, ...] | None: ...
    @property
    def soak_seconds(self) -> int: ...
    @property
    def deadline_seconds(self) -> int: ...


def gates_for(is_shadow: bool, plans: Sequence[str] | None) -> list[str] | None:
    """Returns those of a plan's gates that are for its shadow stages, or for the others; None if it
    names none of that kind."""
    if not plans:
        return None if plans is None else []
    return [text for text in plans if (parse_gate(text).name == AGREEMENT) == is_shadow] or None


def with_times(settings: dict[str, Any], window_seconds: Any) -> dict[str, Any]:
    """Returns the settings of a plan in which shadow stages without a soak have one of the shadow's
    time and a window, in which its last windows arrive, and a deadline of a day more. What has not
    the right type stays as it is: the plan refuses it."""
    shadow, stages = settings.get("shadow"), settings.get("stages")
    if not isinstance(shadow, dict) or not isinstance(stages, list | tuple):
        return settings
    seconds = shadow.get("seconds", DEFAULT_SECONDS)
    if type(seconds) is not int or type(window_seconds) is not int:
        return settings
    soak = {"soak_seconds": seconds + window_seconds}
    late = {"deadline_seconds": seconds + window_seconds + DAY_SECONDS}
    is_shadow = [isinstance(stage, dict) and stage.get("shadow") is True for stage in stages]
    made = [
        soak | late | stage if its else stage for stage, its in zip(stages, is_shadow, strict=True)
    ]
    return settings | {"stages": made}


def check(
    stages: Sequence[_Stage],
    shadow: Shadow | None,
    plans: Sequence[str] | None,
    trial_seconds: int,
) -> None:
    """Checks the shadow stages of a plan, and that no other stage has gates that need one; `plans`
    are the plan's gates. Raises ValueError, which names the key and what to do."""
    flags = [stage.shadow for stage in stages]
    if flags != sorted(flags, reverse=True):
        number = flags.index(True, flags.index(False))
        raise ValueError(
            f"stages.{number}.shadow: a stage before it lets the release answer already; put the "
            "shadow stages first"
        )
    if any(flags) and shadow is None:
        raise ValueError(f"stages.0.shadow: the plan does not say how; give {_HOW}")
    if shadow is not None and not any(flags):
        raise ValueError(
            "shadow: no stage has shadow = true; put one first, such as [[stages]] with shadow = "
            "true and percent = 1, or leave [shadow] out"
        )
    _check_plans_gates(plans, any(flags))
    for number, stage in enumerate(stages):
        if stage.shadow and shadow is not None:
            _check_times(number, stage, shadow, trial_seconds)
        for text in stage.gates or ():
            (_require_of_shadow if stage.shadow else _require_of_answers)(number, parse_gate(text))


def _check_plans_gates(plans: Sequence[str] | None, has_shadow: bool) -> None:
    for text in plans or ():
        gate = parse_gate(text)
        if gate.name == AGREEMENT and not has_shadow:
            raise ValueError(
                f'gates: "{text}": only a release that runs beside the live one agrees with it; '
                "give a first stage shadow = true"
            )
        if gate.name != AGREEMENT:
            _require_no_limit_of_latency("gates", gate)


def _require_of_answers(number: int, gate: PlannedGate) -> None:
    where = f"stages.{number}.gates"
    if gate.name == AGREEMENT:
        raise ValueError(
            f'{where}: "{gate.text}": only a stage with shadow = true measures agreement; give it '
            "to that one"
        )
    _require_no_limit_of_latency(where, gate)


def _require_no_limit_of_latency(where: str, gate: PlannedGate) -> None:
    if gate.name == LATENCY and gate.kind == LIMIT:
        raise ValueError(
            f'{where}: "{gate.text}": latency is compared by a ratio; give 1.2 * baseline, or the '
            "limit to a stage with shadow = true"
        )


def _require_of_shadow(number: int, gate: PlannedGate) -> None:
    where = f'stages.{number}.gates: "{gate.text}"'
    if gate.name not in _JUDGED:
        raise ValueError(
            f"{where}: a release that runs beside the live one is judged by agreement, failures, "
            "mean(latency_ms) and p50 to p99(latency_ms); give it to another stage"
        )
    if gate.kind not in (LIMIT, EXPECTED):
        example = "failures <= 0.001" if gate.name == FAILURES else f"{gate.text.split('=')[0]}= 50"
        raise ValueError(
            f"{where}: no device has a baseline of a release that does not answer; give a limit, "
            f"such as {example}"
        )


def _check_times(number: int, stage: _Stage, shadow: Shadow, trial_seconds: int) -> None:
    if stage.soak_seconds < shadow.seconds:
        raise ValueError(
            f"stages.{number}.soak: shorter than shadow.time, so that its last look would come "
            f"before the devices have compared all; give {duration(shadow.seconds)} or more"
        )
    needed = shadow.seconds + (trial_seconds if shadow.else_trial else 0)
    if stage.deadline_seconds <= needed:
        raise ValueError(
            f"stages.{number}.deadline: not longer than shadow.time"
            f"{' and trial.time' if shadow.else_trial else ''}, so that no device could answer in "
            f"time; give more than {duration(needed)}"
        )
