"""Subscribes to topics that the agent can do without. A broker may deny them, and orders come all
the same."""

from modelwave_agent.ports import LinkLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from modelwave_agent.ports import BrokerLink, Clock

FOR_EVER = float("inf")
AGAIN_SECONDS = 60  # after which a topic is asked for again that was denied; then twice that
DOUBLINGS = 6


class OptionalTopic:
    """One topic; the agent subscribes to it with each connection."""

    def __init__(self, topic: str, answered: "Callable[[bool], None]", pause: float) -> None:
        """`answered` is called with whether the broker lets the device read the topic. Some brokers
        deny it by an end of the connection: after that the agent does without the topic for `pause`
        seconds."""
        self.topic = topic
        self.answered = answered
        self.pause = pause
        self.asks_at = 0.0  # not before this time of the clock
        self._denials = 0  # in a row
        self._again_at = 0.0

    async def subscribe(self, link: "BrokerLink", clock: "Clock") -> None:
        """Raises LinkLost."""
        if clock.now() < self.asks_at:
            return
        try:
            is_granted = await link.subscribe_if_allowed([self.topic])
        except LinkLost:
            self.asks_at = clock.now() + self.pause
            raise
        self._denials = 0
        self._note(is_granted, clock.now())
        self.answered(is_granted)

    async def ask_again(self, link: "BrokerLink", clock: "Clock") -> None:
        """Asks again over a connection that was denied the topic: a cluster that has lost a node
        does that for a while. Raises LinkLost."""
        if not self._denials or clock.now() < self._again_at:
            return
        is_granted = await link.subscribe_if_allowed([self.topic])
        self._note(is_granted, clock.now())
        if is_granted:
            self.answered(True)

    def _note(self, is_granted: bool, now: float) -> None:
        self._again_at = now + (AGAIN_SECONDS << min(self._denials, DOUBLINGS))
        self._denials = 0 if is_granted else self._denials + 1
