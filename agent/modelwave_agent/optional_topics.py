"""Subscribes to topics that the agent can do without. A broker may deny them, and orders come all
the same.

    the broker                                      the topic is asked for again
    ----------------------------------------------  ---------------------------------------------
    denies it                                       AGAIN_SECONDS later, then after twice that
    is lost before it has answered                  AGAIN_SECONDS later: it may be by chance
    is lost so again the next time                  LOST_SECONDS later: that is how it denies
"""

from modelwave_agent.ports import LinkLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from modelwave_agent.ports import BrokerLink, Clock

AGAIN_SECONDS = 60
LOST_SECONDS = 86400
DOUBLINGS = 6


class OptionalTopic:
    """One topic; the agent subscribes to it with each connection."""

    def __init__(self, topic: str, answered: "Callable[[bool], None]") -> None:
        """`answered` is called with whether the broker lets the device read the topic."""
        self.topic = topic
        self.answered = answered
        self._denials = 0  # in a row
        self._losses = 0  # in a row
        self._again_at = 0.0  # by the clock; while there are denials or losses

    async def subscribe(self, link: "BrokerLink", clock: "Clock") -> None:
        """Asks over a new connection, unless the last ones were lost by that. Raises LinkLost."""
        if not self._losses or clock.now() >= self._again_at:
            self._denials = 0
            await self._ask(link, clock)

    async def ask_again(self, link: "BrokerLink", clock: "Clock") -> None:
        """Asks again over a connection without the topic, if that is due: a cluster that has lost
        a node denies it for a while. Raises LinkLost."""
        if (self._denials or self._losses) and clock.now() >= self._again_at:
            await self._ask(link, clock)

    async def _ask(self, link: "BrokerLink", clock: "Clock") -> None:
        try:
            is_granted = await link.subscribe_if_allowed([self.topic])
        except LinkLost:
            self._losses += 1
            self._again_at = clock.now() + (LOST_SECONDS if self._losses > 1 else AGAIN_SECONDS)
            raise
        before, self._losses = self._denials, 0
        self._again_at = clock.now() + (AGAIN_SECONDS << min(before, DOUBLINGS))
        self._denials = 0 if is_granted else before + 1
        if is_granted or not before:
            self.answered(is_granted)
