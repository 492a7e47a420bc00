"""Subscribes to topics that the agent can do without. A broker may deny them, and orders come all
the same."""

from modelwave_agent.ports import LinkLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from modelwave_agent.ports import BrokerLink, Clock

FOR_EVER = float("inf")


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

    async def subscribe(self, link: "BrokerLink", clock: "Clock") -> None:
        """Raises LinkLost."""
        if clock.now() < self.asks_at:
            return
        try:
            is_granted = await link.subscribe_if_allowed([self.topic])
        except LinkLost:
            self.asks_at = clock.now() + self.pause
            raise
        self.answered(is_granted)
