"""The operator of the day, who starts a rollout, reads the status, and does what it says. What is
right they do not know."""

from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import rollouts
from modelwave_controller.operations.rollouts import Request
from modelwave_controller.rollout import state
from modelwave_controller.rollout.plan import make_plan
from tests.day.devices import WINDOW_SECONDS
from tests.day.releases import MODEL
from tests.heal import person
from tests.heal.person import PATIENCE

MARGIN = 0.03
TRIAL_SECONDS, DEADLINE_SECONDS = 30, 600
WINDOWS = 3  # whole ones in a soak
GRACE_SECONDS = 30
HARM = ("rolled back", "roll-back", "FAIL", "worse")  # words of what a release does


def plan_of(*percents):
    """The last stage has no controls, and need not soak for long."""
    soak, deadline = (WINDOWS + 1) * WINDOW_SECONDS, {"deadline_seconds": DEADLINE_SECONDS}
    stages = [{"percent": percent, "soak_seconds": soak} | deadline for percent in percents]
    last = {"percent": 100, "soak_seconds": WINDOW_SECONDS} | deadline
    return make_plan(
        {
            "stages": [*stages, last],
            "gates": [f"accuracy >= baseline - {MARGIN}"],
            "trial": {"seconds": TRIAL_SECONDS},
            "judge": {"window_seconds": WINDOW_SECONDS, "grace_seconds": GRACE_SECONDS},
        }
    )


PLAN = plan_of(10, 50)
FIRST = plan_of()  # nobody has a model yet that could be compared


class DayPerson(person.Person):
    """`acts`: what they did beside starting, by rollout."""

    def __init__(self, world, random):
        super().__init__(world, random)
        self.acts = {}

    def start(self, kind, plan=PLAN):
        self.number += 1
        release = self.world.fleet.release(self.number, kind)
        self.world.shelve(release)
        seed = self.random.randrange(10**6)
        request = Request(MODEL, release.signed, (), plan, seed)
        rollout = rollouts.start(self.store, request, self.now)
        self._note(f"rollout start {self.number} ({kind.name})")
        return rollout

    def _choose(self, found, acts):
        """Lets it wait anew, then judges by the reason alone: what harms comes back, and devices
        that are away do not keep the others from a release."""
        if "accept_clock" in acts:
            return self.accept_clock()
        harms = any(word in found.why for word in HARM)
        waited = self.waited.get(found.rollout, 0)
        if found.status == state.PAUSED or (not harms and waited < PATIENCE):
            self.waited[found.rollout] = waited + 1
            return self.resume()
        return self.revert() if harms else self.overrule()

    def _on_newest(self, what, reason):
        super()._on_newest(what, reason)
        self.acts.setdefault(self.seen().rollout, []).append(what)

    def follow(self):
        """Not while the controller's clock is wrong: they would set that right, and it is."""
        if self.world.clock.wrong:
            return
        try:
            super().follow()
        except OperatorError as error:  # the status was another one a moment ago: they look again
            self._note(f"refused: {error}")
