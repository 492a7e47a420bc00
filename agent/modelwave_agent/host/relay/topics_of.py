"""Says what a board may say through the gateway, whatever it asks for. Pure.

The gateway speaks for many boards, and a broker may give them more rights than they need. So that
no board can speak for another, or read what is another's, a board with this id may

    publish          reported/<id>, presence/<id>   retained
                     metrics/<id>, file/<id>/get    not retained
    subscribe to     desired/<target>/<model>/<slot>, desired/<target>/<model>/all,
                     desired/device/<id>/<model>, root/<v>,
                     heartbeat/<id>, reported/<id>, file/<id>/block

each under modelwave/1/<fleet>/, by its full name: no wildcards. What the messages say is signed by
others, or judged by the controller; it is not read here.
"""

from modelwave_shared import topics
from modelwave_shared.limits import MAX_MODELS, MAX_NAME, MAX_REPORT_BYTES

# With the topics of each model, those of its own agent, and some roots that follow one another.
MAX_SUBSCRIPTIONS = 3 * (MAX_MODELS + 1) + 45
MAX_TOPIC_CHARACTERS = 5 * (MAX_NAME + 1)
PRESENCES = (b"online", b"offline")


class Voice:
    """What one board may say and hear."""

    def __init__(self, fleet: str, device: str) -> None:
        self.fleet = fleet
        self.presence = topics.presence(fleet, device)
        self._published = {  # topic: whether it is retained
            topics.reported(fleet, device): True,
            self.presence: True,
            topics.metrics(fleet, device): False,
            topics.file_get(fleet, device): False,
        }
        self._own = {
            topics.reported(fleet, device),
            topics.heartbeat(fleet, device),
            topics.file_block(fleet, device),
        }
        self._device = device

    def refused_will(self, topic: str, will: bytes) -> str:
        """Returns why this last will is refused, or ""."""
        if topic != self.presence or will != b"offline":
            return "the last will is not this board's presence"
        return ""

    def refused(self, topic: str, payload: bytes, retain: bool) -> str:
        """Returns why the board may not publish this, or ""."""
        if topic not in self._published:
            return "this board may not publish there"
        if retain != self._published[topic]:
            return "what is retained, and what is not, is the other way round"
        if topic == self.presence and payload not in PRESENCES:
            return "the presence is neither online nor offline"
        if len(payload) > MAX_REPORT_BYTES:
            return f"longer than {MAX_REPORT_BYTES} bytes"
        return ""

    def may_hear(self, topic: str) -> bool:
        if len(topic) > MAX_TOPIC_CHARACTERS or any(c in topic for c in "+#\0"):
            return False
        if topic in self._own:
            return True
        match topics.parts(self.fleet, topic):
            case ["root", version]:
                return version.isascii() and version.isdigit()
            case ["desired", "device", device, model]:
                return device == self._device and bool(model)
            case ["desired", target, model, slot]:
                return bool(target and model and slot)
        return False
