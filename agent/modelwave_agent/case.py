"""A received order, together with everything that the checks need to judge it."""

from modelwave_agent.record import is_under_way, said

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from typing import Any

    from modelwave_agent.types import Document, Enrolment, Record, Shadow
    from modelwave_shared.dsse import Envelope


class AlreadyJudged(Exception):
    """The same order was judged before, and there is nothing left to do for it."""


class Case:
    """The input of the checks. They fill in the last five fields; a check reads what the earlier
    ones have filled in."""

    def __init__(
        self,
        message: bytes,
        model: str,
        device: "Enrolment",
        record: "Record",
        has: "Callable[[], Document]",
        judged: "Container[str]" = (),
        wall: "int | None" = None,
        is_synchronised: bool = False,
        shadow: "Shadow | None" = None,
    ) -> None:
        """`message`: the received bytes. `model`: the model that the topic names. `record`: the
        model's record from the journal. `has`: as Ports.has, of the bank that is free.
        `judged`: digests of payloads that were refused before. `wall` and
        `is_synchronised`: as Clock tells them. `shadow`: the port of that name (ports.Ports)."""
        self.message = message
        self.model = model
        self.device = device
        self.record = record
        self.has = has
        self.judged = judged
        self.wall = wall
        self.is_synchronised = is_synchronised
        self.shadow = shadow
        self.lines: "list[bytes]" = []  # the order's envelope and the manifest's
        self.envelopes: "list[Envelope]" = []  # both, decoded
        self.order: "Any" = None  # the checked document
        self.manifest: "Any" = None  # the checked document
        self.floor = 0  # the latest signed time once the order is taken

    @property
    def digest(self) -> str:
        """The sha256 of the order's payload, in hex."""
        return self.envelopes[0].digest()

    def resources(self) -> "Document":
        """Returns what the device has (modelwave_shared.fit), as of now. Raises what the medium or
        the runtime raises, but no ValueError, which would say that the order asks too much."""
        try:
            return self.has()
        except ValueError as error:
            raise RuntimeError(said(error))

    @property
    def under_way(self) -> bool:
        """Whether the device is executing exactly this order already."""
        return is_under_way(self.record, self.digest)
