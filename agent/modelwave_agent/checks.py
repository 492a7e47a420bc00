"""Decides whether the device accepts an order. The checks, in this order, the cheapest first:

    lines       the message has two lines, together no longer than two envelopes may be
    envelope    both lines are DSSE envelopes, by byte template; no JSON parser runs yet
    kind        the first holds an order, the second a manifest
    judged      the same payload was not judged before
    signed      enough distinct keys of the order role have signed, under this device's root
    fields      the order is parsed: known format version and fields, exact types, ranges
    addressed   it is for this fleet, target and model, and for this slot or device
    sequence    it has the root's epoch; it is above the durable floor, or the same order again
    paired      the second line is the manifest that the order names, signed by the release role
    root        the root of trust has not expired, by that time
    time        it has not expired, by the latest time that the device can trust
    manifest    the manifest is parsed, and is for what the order is for
    minimum     the release is not below the minimum that the root sets
    blacklist   the release did not fail a health check on this device, or the order lifts that ban
    fit         runtime, accelerator, kernels, flash and contiguous RAM suffice

The first check that fails refuses the order; the checks after it do not run. CHECKS below has a
row for each check. Its flags say what a failure means:

    proven      When this check runs, both lines are known to be authentic and the order to be new,
                so a failure gives it the outcome REJECTED. A failure before that says nothing about
                any order and is only a note in the report. Only proven payloads are remembered as
                judged. Otherwise a stranger could block an order: he would send its payload first,
                with a bad signature or another manifest.
    passing     The failure may pass (for example when the clock is set), so the order is judged
                again later.
    resumed     The check also runs when the order in progress comes again, after a reset or under
                a new root: who signed it, for whom, and whether the root allows its release. The
                order has passed the other checks already, and might fail them now: a newer model
                may use the RAM, or the order has expired.
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
    """A row of CHECKS: a check and what its failure means."""

    def __init__(
        self,
        name: str,
        check: "Callable[[Case], None]",
        proven: bool = False,
        passing: bool = False,
        resumed: bool = False,
    ) -> None:
        """`check` raises ValueError if the case fails it. The flags: see the module's text."""
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
    Check("paired", envelopes.paired, resumed=True),
    Check("root", terms.root, proven=True, passing=True),
    Check("time", terms.time, proven=True, passing=True),
    Check("manifest", envelopes.manifest, proven=True, resumed=True),
    Check("minimum", terms.minimum, proven=True, passing=True, resumed=True),
    Check("blacklist", terms.blacklist, proven=True),
    Check("fit", terms.fit, proven=True, passing=True),
)


class OrderRefused(Exception):
    """The order is refused. `check` is the row of CHECKS that it failed; the message names the
    check and the reason."""

    def __init__(self, check: Check, problem: str) -> None:
        super().__init__("%s: %s" % (check.name, problem))
        self.check = check


async def judge(case: "Case", breathe: "Breathe") -> AcceptedOrder:
    """Returns the order if it passes all checks. Raises OrderRefused or case.AlreadyJudged.
    `breathe` is awaited between the checks."""
    for check in CHECKS:
        if check.resumed or not case.under_way:
            try:
                check.check(case)
            except ValueError as error:
                raise OrderRefused(check, advised(error, "agent"))
            await breathe()
    return AcceptedOrder(case.order, case.manifest, case.digest, case.floor)
