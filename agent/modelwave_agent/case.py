"""An order that is being judged, with all that it is judged by."""

from modelwave_agent.record import is_under_way

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container
    from typing import Any

    from modelwave_agent.types import Document, Enrolment, Record
    from modelwave_shared.dsse import Envelope


class AlreadyJudged(Exception):
    """The same order came again, and there is nothing to do about it."""


class Case:
    """The checks fill in the last four fields; each finds what those before it have left."""

    def __init__(
        self,
        message: bytes,
        model: str,
        device: "Enrolment",
        record: "Record",
        has: "Document",
        judged: "Container[str]" = (),
        wall: "int | None" = None,
    ) -> None:
        """`message`: the received bytes. `model`: the topic's. `record`: what the journal
        says of the model. `has`: what the device has (modelwave_shared.fit). `judged`:
        digests of payloads refused before. `wall`: Unix seconds, or None where no clock can
        be trusted."""
        self.message = message
        self.model = model
        self.device = device
        self.record = record
        self.has = has
        self.judged = judged
        self.wall = wall
        self.lines: "list[bytes]" = []  # the order's envelope and the manifest's
        self.envelopes: "list[Envelope]" = []  # the same, read
        self.order: "Any" = None  # the checked document
        self.manifest: "Any" = None  # the checked document

    @property
    def digest(self) -> str:
        """sha256 of the order's payload, in hex."""
        return self.envelopes[0].digest()

    @property
    def under_way(self) -> bool:
        """Whether the device is at work on this very order."""
        return is_under_way(self.record, self.digest)
