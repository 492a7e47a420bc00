"""Does the calls that begin a rollout, or say what one would do."""

from modelwave_controller.api import starts as calls
from modelwave_controller.desk.desk import Desk
from modelwave_controller.desk.doing import OfFiles, as_it_is, does
from modelwave_controller.operations import begin, linted, starting, two_people
from modelwave_controller.operations.rollouts import Request
from modelwave_controller.releases.catalog import Releases
from modelwave_controller.results.starts import DryRun, LintedStage, Started
from modelwave_controller.rollout.plan import make_plan


@does(calls.START)
def start(desk: Desk, asked: calls.Start) -> Started:
    releases, request = _request(desk, asked)
    return begin.start(desk.store, releases, request, desk.clock(), desk.person.name)


@does(calls.DRY_RUN)
def dry_run(desk: Desk, asked: calls.Start) -> DryRun:
    releases, request = _request(desk, asked)
    return begin.dry_run(desk.store, releases, request)


@does(calls.LINT)
def lint(desk: OfFiles, asked: calls.Lint) -> list[LintedStage]:
    percent = as_it_is(desk.home).config.rollouts.another_approves_from_percent
    return linted.linted(two_people.asked(asked.plan, percent))


def _request(desk: Desk, asked: calls.Start) -> tuple[Releases, Request]:
    home = as_it_is(desk.home)
    releases = Releases(home)
    found = releases.find(asked.model, asked.release)
    releases.require_sound(found)
    if asked.start_at is not None:
        starting.require_within_a_year("start_at", asked.start_at, desk.clock())
    return releases, Request(
        asked.model,
        found,
        asked.targets,
        asked.plan or make_plan({}),
        asked.seed,
        asked.lift_ban,
        home.root.epoch,
        accept_blind=asked.accept_blind,
        start_at=asked.start_at,
        supersede=asked.supersede,
        another_from=home.config.rollouts.another_approves_from_percent,
    )
