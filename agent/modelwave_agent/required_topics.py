"""Subscribes to topics that the agent cannot do without.

A cluster that has just lost a node denies some of them for a while. They are asked for again over
the same connection: a new one would have to be granted all of them at once.
"""

from modelwave_agent.ports import LinkLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.ports import BrokerLink, Clock

DENIED = "the broker denied a subscription: this user may not read "
PAUSES = (1, 2, 4, 8)  # seconds before those that were denied are asked for again


async def subscribe(link: "BrokerLink", clock: "Clock", topics: "list[str]") -> None:
    """Raises LinkLost, also if the broker goes on to deny one."""
    left = await link.denied(topics)
    for pause in PAUSES:
        if not left:
            return
        await clock.sleep(pause)
        asked, left = left, []
        for topic in asked:  # one at a time: the broker may need seconds for each
            left += await link.denied([topic])
    if left:
        raise LinkLost(DENIED + left[0])
