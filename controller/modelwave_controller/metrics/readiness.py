"""Decides whether a process of the service is ready: whether it does its work now.

Why it is not:

    it has not looked at the database yet         it starts
    its loop has not come round for 30 seconds    it hangs
    the database does not answer                  now, or for 10 seconds in its loop
    it leads, and does not reach the broker       for 10 seconds
    it leads, and what devices report waits       for LAG_SECONDS to be stored
    it stands by, and no service leads            for 15 seconds: then it should, and cannot

So a service that stands by is ready as long as another one leads: it serves files, pages and
commands, and takes over. What is said are fixed words, as anybody may read them who reaches it.
"""

from modelwave_controller.operations.health import Health
from modelwave_controller.service.vitals import HANGS, NO_DATABASE, Vitals

LAG_SECONDS = 30

STARTS = "the service starts"
LAGS = "what devices report is stored too late"
NO_LEADER = "no service leads"


def reasons(vitals: Vitals, found: Health | None) -> list[str]:
    """Returns why the process is not ready; [] if it is. `found`: what the database says now, None
    if it does not answer."""
    if not vitals.alive:
        return [HANGS]
    if found is None:
        return [NO_DATABASE]
    if not vitals.has_begun:
        return [STARTS]
    its = vitals.problems()
    if vitals.leads:
        return its + ([LAGS] if vitals.figures.inbox.lag() > LAG_SECONDS else [])
    return its + ([] if found.service_runs else [NO_LEADER])
