"""A rollout's plan: its stages, the limits of their gates, the trial, and the action on FAIL.

Its TOML form (`modelwave rollout start … --plan FILE`); all keys are optional, but a stage needs
`percent`, or `tags` or `devices`:

    on_fail = "revert"              # or "hold": stop and leave the decision to a person
    gates = [                       # what its devices have to measure (docs/judging.md)
        "accuracy >= baseline - 0.02",
        "p95(latency_ms) <= 1.2 * baseline",
        "failures <= 0.001",
        "mean(power_mw) <= baseline + 20",
    ]
    expires = "365d"                # how long its orders are valid
    devices_per_minute = 200        # a stage opens so many; without it all at once
    [trial]
    time = "10m"                    # length of the trial on each device before it confirms
    inferences = 0                  # inferences that the trial needs
    max_failed_percent = 0          # of its inferences; more: the device rolls back
    [shadow]                        # for stages with shadow = true: no answer is the release's
    time = "1h"                     # how long a device runs the release beside the live one
    share_percent = 10              # of the live inputs that it runs on
    ram = "256 MiB"                 # of its process; more, or a longer mean latency, ends it
    latency_ms = 1000
    compare = "golden"              # as the golden set does; "classes": by the greatest output
    else_trial = false              # true: a device that cannot do this goes straight on trial
    [maintenance]                   # without it devices change their model at any time
    windows = ["mon-fri 01:00-04:00", "sat,sun 00:00-24:00"]
    timezone = "Europe/Berlin"      # of devices without a local time; else UTC
    [judge]
    least_devices = 3               # of each target; no stage of `percent` leaves fewer opened
    window = "15m"                  # looks are after 1, 2, 4 … of these, and at the soak's end
    grace = "5m"                    # how much later windows may arrive for a look
    inconclusive = "hold"           # or "go on", if a gate has not passed at the soak's end
    max_false_fail_percent = 5      # how often a good release may FAIL, for the whole rollout
    [[stages]]
    shadow = true                   # such stages come first of all, and count their own percent
    percent = 5
    gates = ["agreement >= 0.97"]
    [[stages]]
    tags = ["canary"]               # devices that have one of these tags at the start, and
    devices = ["d1", "d2"]          # these; such stages come before those with percent
    [[stages]]
    percent = 1                     # of each target's known devices; increases, the last is 100
    gates = ["failures <= 0.001"]   # in place of the plan's
    approval = "see the dashboard"  # what to check, or true: opens after `rollout approve`
    approval_by = "another"         # than who started the rollout; else anybody may give it
    soak = "1h"                     # at least this long before the next stage opens
    deadline = "1d"                 # after that, devices without an answer are silent
    devices_per_minute = 50         # in place of the plan's
    max_rolled_back_percent = 2     # more: FAIL; without it the evidence decides
    max_failed_percent = 10         # more: INCONCLUSIVE; the same for the next two
    max_rejected_percent = 5
    max_silent_percent = 10
    min_succeeded_percent = 80      # fewer: INCONCLUSIVE

Durations are such as "90s", "10m", "1h" or "2d"; in seconds the keys are expires_seconds, seconds
(of the trial and the shadow), soak_seconds, deadline_seconds, window_seconds and grace_seconds. A
shadow stage without a soak has one of the shadow's time and a window; its deadline is a day more.

Types are strict and unknown keys are refused, so a mistyped limit is an error when the plan is
made, and is never ignored.
"""

import re
import tomllib
from collections.abc import Sequence
from fractions import Fraction
from math import ceil
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    PlainValidator,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from modelwave_controller.errors import OperatorError
from modelwave_controller.judge.looks import ALPHA, LEAST_CANARIES
from modelwave_controller.phrases import span
from modelwave_controller.rollout import shadow as shadows
from modelwave_controller.rollout.durations import in_seconds
from modelwave_controller.rollout.maintenance import Maintenance
from modelwave_controller.rollout.planned_gates import LIMIT, PlannedGate, parse_gate
from modelwave_controller.rollout.shadow import Shadow
from modelwave_controller.trust.field_types import (
    Name,
    TrialInferences,
    TrialSeconds,
    first_problem,
)
from modelwave_shared import local_time
from modelwave_shared.limits import MILLION

_KEYS = 'docs/operations.md, "A plan in a file",'
DEFAULT_PERCENTS = (1.0, 10.0, 50.0, 100.0)
DEFAULT_TRIAL_SECONDS = 600
MAX_PLAN_BYTES = 65536
MAX_STAGES = 32
MAX_NAMED_TAGS = 16
MAX_GATES = 8  # of a stage
MAX_APPROVAL = 200  # characters of what is to be checked
# Of a plan that names none: where devices send windows, accuracy where labels come, an estimate of
# it where the releases have tables for it. What is INCONCLUSIVE goes on, as nobody has named a
# margin; what is a HOLD holds.
DEFAULT_GATES = (
    "accuracy >= baseline - 0.02",
    "failures <= baseline + 0.01",
    "mean(latency_ms) <= 1.2 * baseline",
    "estimated_accuracy >= baseline - 0.02",
)
MAX_LEAST_DEVICES = 1000
MAX_NAMED_DEVICES = 100  # of a stage; each costs an order
MAX_DEVICES_PER_MINUTE = 10**6
MAX_WAIT_SECONDS = 365 * 86400
MAX_EXPIRES_SECONDS = 10 * 365 * 86400

Percent = Annotated[float, Field(ge=0, le=100)]  # excludes NaN and infinity
Seconds = Annotated[int, Field(ge=0, le=MAX_WAIT_SECONDS)]
Rate = Annotated[int, Field(ge=1, le=MAX_DEVICES_PER_MINUTE)]


def _are_gates(texts: tuple[str, ...]) -> tuple[str, ...]:
    named: dict[tuple[str, float], str] = {}
    for text in texts:
        quantity = parse_gate(text).quantity
        if quantity in named:
            raise ValueError(
                f'"{text}": at 1: "{named[quantity]}" names it already; keep one of them'
            )
        named[quantity] = text
    return texts


def _is_approval(value: object) -> bool | str:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip() and value.isprintable():
        if len(value) <= MAX_APPROVAL:
            return value
        raise ValueError(f"at most {MAX_APPROVAL} characters")
    raise ValueError("give true, or in quotes and on one line what is to be checked")


Gates = Annotated[
    tuple[str, ...], Field(max_length=MAX_GATES, strict=False), AfterValidator(_are_gates)
]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Trial(_Strict):
    """The trial on each device."""

    seconds: TrialSeconds
    inferences: TrialInferences
    max_failed_percent: Percent = 0.0

    @field_validator("max_failed_percent")
    @classmethod
    def _is_whole_in_an_order(cls, value: float) -> float:
        if (share(value) * MILLION).denominator != 1:
            raise ValueError("give at most 4 digits after the point")
        return value

    @property
    def max_failed_ppm(self) -> int:
        """The share of its inferences that may fail, in parts per million as in orders."""
        return int(share(self.max_failed_percent) * MILLION)


class Judge(_Strict):
    """How the stages are judged. `least_devices`: of each target, as fewer can hardly be judged."""

    least_devices: Annotated[int, Field(ge=1, le=MAX_LEAST_DEVICES)] = LEAST_CANARIES
    window_seconds: Annotated[int, Field(ge=1, le=86400)] = 900
    grace_seconds: Annotated[int, Field(ge=0, le=86400)] = 300
    inconclusive: Literal["hold", "go on"] | None = None
    max_false_fail_percent: Annotated[float, Field(ge=0.1, le=50)] = 100 * ALPHA


class Stage(_Strict):
    """A share of each target's devices, or named devices: each gets an order of its own. In the
    plan of a rollout that was started, `devices` has those of the tags too. `shadow`: they run the
    release beside the live one."""

    shadow: bool = False
    percent: Annotated[Percent, Field(gt=0)] | None = None
    gates: Gates | None = None
    tags: Annotated[tuple[Name, ...], Field(max_length=MAX_NAMED_TAGS, strict=False)] = ()
    devices: Annotated[tuple[Name, ...], Field(max_length=MAX_NAMED_DEVICES, strict=False)] = ()
    approval: Annotated[bool | str, PlainValidator(_is_approval)] = False
    approval_by: Literal["anybody", "another"] = "anybody"
    soak_seconds: Seconds = 3600
    deadline_seconds: Seconds = 86400
    devices_per_minute: Rate | None = None
    max_rolled_back_percent: Percent | None = None
    max_failed_percent: Percent = 10.0
    max_rejected_percent: Percent = 5.0
    max_silent_percent: Percent = 10.0
    min_succeeded_percent: Percent = 80.0

    @property
    def whom(self) -> str:
        """For whom it is: "10 %", "tag canary" or "2 devices", and "in shadow" if it is that."""
        return f"{self._whom} in shadow" if self.shadow else self._whom

    @property
    def _whom(self) -> str:
        if self.percent is not None:
            return f"{self.percent:g} %"
        if self.tags:
            return f"{'tag' if len(self.tags) == 1 else 'tags'} {', '.join(self.tags)}"
        return self.devices[0] if len(self.devices) == 1 else f"{len(self.devices)} devices"

    @property
    def has_controls(self) -> bool:
        return self.percent != 100 and not self.shadow

    @property
    def asks_another(self) -> bool:
        """Whether it opens only with the approval of another than who started the rollout."""
        return self.approval_by == "another"

    @model_serializer(mode="wrap")
    def _with_what_is_used(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leaves out a field that an older program does not know, where it says nothing: such a
        program refuses a plan with it, and does not open the stage."""
        found: dict[str, Any] = dump(self)
        if not self.asks_another:
            found.pop("approval_by", None)
        return found

    @model_validator(mode="after")
    def _asks_another_for_something(self) -> Self:
        if self.asks_another and not self.approval:
            raise ValueError("approval_by: it asks for no approval; give approval = true too")
        return self

    @model_validator(mode="after")
    def _is_for_a_share_or_for_named_devices(self) -> Self:
        if (self.percent is None) == (not self.tags and not self.devices):
            raise ValueError("percent: give it, or tags or devices in its place")
        return self

    @model_validator(mode="after")
    def _soak_ends_before_the_deadline(self) -> Self:
        if self.soak_seconds > self.deadline_seconds:
            raise ValueError("soak_seconds: longer than deadline_seconds")
        return self


class Plan(_Strict):
    # Fails fast: of 350,000 stages that are wrong each would be an error, in five seconds.
    stages: Annotated[
        tuple[Stage, ...],
        Field(min_length=1, max_length=MAX_STAGES, strict=False),
        FailFast(),
    ]
    trial: Trial = Trial(seconds=DEFAULT_TRIAL_SECONDS, inferences=0)
    expires_seconds: Annotated[int, Field(ge=60, le=MAX_EXPIRES_SECONDS)] = 365 * 86400
    on_fail: Literal["revert", "hold"] = "revert"
    judge: Judge = Judge()
    shadow: Shadow | None = None
    gates: Gates | None = None
    devices_per_minute: Rate | None = None
    maintenance: Maintenance | None = None

    def rate_of(self, number: int) -> int | None:
        """Returns how many devices a minute stage `number`, from 0, opens; None: all at once."""
        return self.stages[number].devices_per_minute or self.devices_per_minute

    def waits_for_windows(self, number: int) -> bool:
        """Returns whether devices of stage `number`, from 0, change their model, and so may wait
        for a maintenance window first: a shadow alone changes nothing."""
        if self.maintenance is None or not self.stages[number].shadow:
            return self.maintenance is not None
        return self.shadow is not None and self.shadow.else_trial

    def gates_of(self, number: int) -> list[PlannedGate]:
        """Returns what is judged in stage `number`, from 0. Without controls only limits are."""
        stage = self.stages[number]
        texts = self.named_of(number)
        if texts is None:
            texts = shadows.DEFAULT_GATES if stage.shadow else DEFAULT_GATES
        named = [parse_gate(text) for text in texts]
        may_compare = stage.has_controls or stage.shadow
        return [gate for gate in named if may_compare or gate.kind == LIMIT]

    def named_of(self, number: int) -> Sequence[str] | None:
        """Returns the gates that the plan names for stage `number`, from 0; None: the defaults."""
        stage = self.stages[number]
        return shadows.gates_for(stage.shadow, self.gates) if stage.gates is None else stage.gates

    def named_gates(self) -> list[PlannedGate]:
        """Returns the gates that the plan itself names, of all stages."""
        return [
            gate
            for number in range(len(self.stages))
            if self.named_of(number) is not None
            for gate in self.gates_of(number)
        ]

    def holds(self, number: int) -> bool:
        """Returns whether gates that have not passed at the soak's end hold stage `number`."""
        if self.judge.inconclusive is not None:
            return self.judge.inconclusive == "hold"
        return self.named_of(number) is not None

    @property
    def names_gates(self) -> bool:
        return bool(self.gates) or any(stage.gates for stage in self.stages)

    @property
    def may_hold(self) -> bool:
        """Whether anything INCONCLUSIVE may hold it: silent canaries do, also by default."""
        return self.judge.inconclusive != "go on"

    @model_validator(mode="after")
    def _deadlines_are_longer_than_any_wait_for_a_window(self) -> Self:
        if self.maintenance is None:
            return self
        longest = self.maintenance.longest_wait_seconds + self.trial.seconds
        for number, stage in enumerate(self.stages):
            if self.waits_for_windows(number) and stage.deadline_seconds <= longest:
                raise ValueError(
                    f"stages.{number}.deadline: {span(stage.deadline_seconds)}, but a device may "
                    "wait for a maintenance window and be on trial for "
                    f"{ceil(longest / 3600)} h (a change of daylight saving time adds an hour, or "
                    "leaves a short window out); give a longer deadline, or more or longer windows"
                )
        return self

    @model_validator(mode="after")
    def _stages_rise_to_everyone(self) -> Self:
        shadows.check(self.stages, self.shadow, self.gates, self.trial.seconds)
        answering = [stage for stage in self.stages if not stage.shadow]
        for group in (answering, [stage for stage in self.stages if stage.shadow]):
            named = [stage.percent is None for stage in group]
            if named != sorted(named, reverse=True):
                raise ValueError(
                    "stages: those with tags or devices come before those with percent"
                )
            percents = [stage.percent for stage in group if stage.percent is not None]
            ends = group is not answering or (percents and percents[-1] == 100)
            if percents != sorted(set(percents)) or not ends:
                raise ValueError("stages: percent must rise from stage to stage and end at 100")
        for number, stage in enumerate(self.stages):
            if stage.deadline_seconds <= self.trial.seconds:
                raise ValueError(
                    f"stages.{number}.deadline_seconds: not longer than trial.seconds, "
                    "so no device could answer in time"
                )
        return self

    @model_validator(mode="after")
    def _stages_are_long_enough_for_their_gates(self) -> Self:
        window = self.judge.window_seconds
        for number, stage in enumerate(self.stages):
            named = (stage.shadow or self.named_of(number)) and self.gates_of(number)
            if named and stage.soak_seconds < window:
                raise ValueError(
                    f"stages.{number}.soak: shorter than a window of {window} s, so its gates "
                    "could never be judged; give a longer soak or a shorter judge.window, or "
                    "gates = [] for this stage"
                )
        return self


def share(percent: float) -> Fraction:
    """Returns the exact share: 0.1 percent is 1/1000, without a rounding error."""
    return Fraction(str(percent)) / 100


def make_plan(settings: dict[str, Any], where: str = "plan") -> Plan:
    """Returns a plan of these settings, with defaults for the rest. Raises OperatorError."""
    try:
        settings = in_seconds(settings)
    except ValueError as error:
        raise OperatorError(f"{where}: {_with_stage(str(error))}") from error
    stages = settings.get("stages", [{"percent": percent} for percent in DEFAULT_PERCENTS])
    trial = settings.get("trial", {})
    if not isinstance(trial, dict):
        raise OperatorError(f'{where}: trial: give a table: [trial], and below it time = "10m"')
    trial = {"seconds": DEFAULT_TRIAL_SECONDS, "inferences": 0} | trial
    settings = settings | {"stages": stages, "trial": trial}
    try:
        plan = Plan.model_validate(shadows.with_times(settings, _window_seconds(settings)))
        if plan.maintenance is not None:  # not for a plan in the log: another machine has made it
            local_time.zone_of(plan.maintenance.timezone)
        return plan
    except ValidationError as error:
        problem = first_problem(error).replace("unknown key", f"unknown key; {_KEYS} lists them")
        raise OperatorError(f"{where}: {_with_stage(problem)}") from error
    except ValueError as error:
        raise OperatorError(f"{where}: maintenance.timezone: {error}") from error


def _with_stage(problem: str) -> str:
    """Keys count stages from 0; operators know them by the numbers of `rollout status`, from 1."""
    found = re.match(r"stages\.(\d+)\b", problem)
    return f"{problem} ({found[0]} is stage {int(found[1]) + 1})" if found else problem


def _window_seconds(settings: dict[str, Any]) -> Any:
    judge = settings.get("judge")
    return judge.get("window_seconds", Judge().window_seconds) if isinstance(judge, dict) else 900


def parse_plan(data: bytes, where: str) -> Plan:
    """Reads a plan from a TOML file's bytes. Raises OperatorError, which names the key."""
    try:
        settings = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:  # ValueError: also a number of 5,000 digits
        raise OperatorError(f"{where} is not TOML: {error}") from error
    return make_plan(settings, where)


def from_options(
    percents: str | None,
    stage: dict[str, float | None],
    trial: dict[str, float | None],
    rest: dict[str, Any],
) -> Plan:
    """Returns a plan of command-line options: `percents` such as "1,10,50,100", `stage` the
    settings of every stage; None means the default. With `shadow` in `rest` a shadow stage of the
    first percent comes first; its soak and deadline follow from the shadow's time. Raises
    OperatorError."""
    shares = DEFAULT_PERCENTS if percents is None else _percents(percents)
    alike = _given(stage)
    settings = _given(rest)
    first = []
    if "shadow" in settings:
        limits = {name: limit for name, limit in alike.items() if name.endswith("_percent")}
        first = [{"percent": shares[0], "shadow": True} | limits]
    stages = first + [{"percent": percent} | alike for percent in shares]
    return make_plan(settings | {"stages": stages, "trial": _given(trial)})


def _percents(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise OperatorError(
            f"--stages: {text[:40]!r}; give percents with commas between, such as 1,10,50,100"
        ) from error


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}
