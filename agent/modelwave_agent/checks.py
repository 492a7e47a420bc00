"""Whether an order is taken: the checks in their order, cheapest first.

    lines       two lines, which together are no longer than two envelopes may be
    envelope    both are DSSE envelopes, by byte template; no JSON parser yet
    kind        an order, then a manifest
    judged      the same payload was not judged before
    signed      enough distinct keys of the order role, under this device's root
    fields      now it is parsed: a format that is read here, exact types, ranges, known fields
    addressed   this fleet, target and model, and this slot or device
    sequence    the root's epoch; above the durable floor, or the same order again
    time        not expired, against the latest time that can be trusted
    manifest    the one the order names, signed by the release role, for this target
    minimum     not below the least release that the root allows
    blacklist   did not fail a health check here
    fit         runtime, accelerator, kernels, flash, largest piece of RAM

The first check that fails refuses the order, and nothing after it runs. CHECKS below has a
row for each, which also says what a failure means:

    proven      The order is authentic and new by then, so it gets an outcome: REJECTED. What
                fails before that proves nothing about any order and is only a note in the
                report. Only proven payloads are remembered as judged: else a stranger could
                spoil an order by sending its payload first under a bad signature.
    passing     It may pass later (when a clock was set, say), so the order is judged again.
    resumed     It is also asked of an order that is under way and comes again after a reset:
                who signed it and for whom. The other checks it has passed when it was taken,
                and might not pass now: a newer model may hold the RAM, or the time be over.
"""

from modelwave_agent import envelopes, terms
from modelwave_agent.types import AcceptedOrder
from modelwave_shared.errors import advised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from modelwave_agent.case import Case
    from modelwave_agent.types import Breathe


class Check:
    """A row of CHECKS."""

    def __init__(
        self,
        name: str,
        check: "Callable[[Case], None]",
        proven: bool = False,
        passing: bool = False,
        resumed: bool = False,
    ) -> None:
        """`check` raises ValueError if the case does not pass."""
        self.name = name
        self.check = check
        self.proven = proven
        self.passing = passing
        self.resumed = resumed


CHECKS = (
    Check("lines", envelopes.lines, resumed=True),
    Check("envelope", envelopes.envelope, resumed=True),
    Check("kind", envelopes.kind, resumed=True),
    Check("judged", envelopes.judged, resumed=True),
    Check("signed", envelopes.signed, resumed=True),
    Check("fields", envelopes.fields, resumed=True),
    Check("addressed", terms.addressed, resumed=True),
    Check("sequence", terms.sequence, resumed=True),
    Check("time", terms.time, proven=True, passing=True),
    Check("manifest", envelopes.manifest, proven=True, resumed=True),
    Check("minimum", terms.minimum, proven=True, passing=True),
    Check("blacklist", terms.blacklist, proven=True),
    Check("fit", terms.fit, proven=True, passing=True),
)


class OrderRefused(Exception):
    """The order is not taken. `check` is the row of CHECKS that it failed; the message names
    it and says why."""

    def __init__(self, check: Check, problem: str) -> None:
        super().__init__("%s: %s" % (check.name, problem))
        self.check = check


async def judge(case: "Case", breathe: "Breathe") -> AcceptedOrder:
    """The order, if it passes all checks. Raises OrderRefused or case.AlreadyJudged.
    `breathe` is awaited between the checks."""
    for check in CHECKS:
        if check.resumed or not case.under_way:
            try:
                check.check(case)
            except ValueError as error:
                raise OrderRefused(check, advised(error, "agent"))
            await breathe()
    return AcceptedOrder(case.order, case.manifest, case.digest)
