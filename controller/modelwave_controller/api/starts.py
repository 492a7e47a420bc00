"""The calls that begin a rollout, or say what one would do."""

from functools import partial
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from modelwave_controller.api.call import POST, Asked, Call
from modelwave_controller.api.words import NameOf, Words
from modelwave_controller.people.roles import OPERATE, VIEW
from modelwave_controller.results.starts import DryRun, LintedStage, Started
from modelwave_controller.rollout.plan import Plan, make_plan

MAX_TARGETS = 64
SECONDS = 900.0  # that it may take: deltas are made first


def _plan(given: Any) -> Any:
    return make_plan(given) if isinstance(given, dict) else given


# A plan as in a file (docs/operations.md, "A plan in a file"), as JSON. It is sent whole: what a
# plan leaves out can follow from what it says.
Planned = Annotated[
    Plan,
    BeforeValidator(_plan),
    PlainSerializer(lambda plan: plan.model_dump(mode="json")),
    WithJsonSchema(
        {
            "type": "object",
            "description": "A plan as in a file of `modelwave rollout start --plan` "
            "(docs/operations.md), as JSON.",
        }
    ),
]


class Lint(Asked):
    plan: Planned


class Start(Asked):
    """release: its number, or else its version
    targets: only these; none: all of the release
    seed: that draws the devices of the stages; None: a random one
    lift_ban: why devices on which the release failed a health check try it again
    accept_blind: why gates may stand that a stage of this fleet cannot judge
    start_at: open no stage before, Unix seconds; None: at once
    supersede: why rollouts that are under way for its targets are ended
    """

    model: str
    release: str
    targets: list[NameOf] = Field([], max_length=MAX_TARGETS)
    plan: Planned | None = None
    seed: int | None = None
    lift_ban: Words = ""
    accept_blind: Words = ""
    start_at: Annotated[float, Field(ge=0, le=1e11)] | None = None
    supersede: Words = ""


_call = partial(Call, "starts")

START: Call[Start, Started] = _call(
    "startRollout",
    POST,
    "/rollouts",
    Start,
    Started,
    OPERATE,
    "Roll a release out in stages.",
    seconds=SECONDS,
)
DRY_RUN: Call[Start, DryRun] = _call(
    "dryRun",
    POST,
    "/dry-runs",
    Start,
    DryRun,
    VIEW,
    "Which device would be in which stage, and what harm that would show; nothing is started.",
)
LINT: Call[Lint, list[LintedStage]] = _call(
    "lintPlan",
    POST,
    "/plans/lint",
    Lint,
    list[LintedStage],
    VIEW,
    "What is judged at each stage of a plan, and when.",
)
CALLS = (START, DRY_RUN, LINT)
