"""Judges the messages on a model's desired topics, and remembers which it has judged."""

from modelwave_agent.record import clean, said, spare
from modelwave_agent.types import Refusal
from modelwave_shared.digests import hexdigest
from modelwave_shared.lean import Phase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.case import Case
    from modelwave_agent.checks import OrderRefused
    from modelwave_agent.ledger import Ledger
    from modelwave_agent.model_report import ModelReport
    from modelwave_agent.ports import Ports
    from modelwave_agent.types import AcceptedOrder, Document, Enrolment

JUDGING = Phase(
    "modelwave_agent.checks",
    "modelwave_agent.heartbeat",
    "modelwave_agent.envelopes",
    "modelwave_agent.terms",
    "modelwave_agent.case",
    "modelwave_agent.root_store",
    "modelwave_agent.shadow",
    "modelwave_shared.documents",
    "modelwave_shared.dsse",
    "modelwave_shared.fit",
    "modelwave_shared.roles",
)
MAX_JUDGED = 8  # digests that are remembered


class OrderInbox:
    """Judges messages by the rules of checks.py, against the device's state on arrival."""

    def __init__(
        self,
        model: str,
        device: "Enrolment",
        ports: "Ports",
        ledger: "Ledger",
        report: "ModelReport",
    ) -> None:
        self.model = model
        self.device = device
        self.ports = ports
        self.ledger = ledger
        self.report = report
        # Digests of payloads and messages that can never be accepted later, newest last.
        self.judged: "list[str]" = []
        # The newest order that may be accepted later, as it came, and its (epoch, sequence). It is
        # judged again.
        self.later: "bytes | None" = None
        self.number = (0, 0)
        # (epoch, sequence) of the newest authentic order that came, whether it was taken or not.
        self.seen = (0, 0)
        self.unread = False  # since then a message came that could not be read
        # The last message could not be judged, and does not wait: it has to come again.
        self.unjudged = False

    async def judge(self, message: bytes) -> "AcceptedOrder | None":
        """Returns the order in `message` if the device accepts it now, else None; the report then
        gives the reason."""
        if message == self.later:
            self.later = None  # unless it has to wait again
        try:
            if hexdigest(message) in self.judged:
                self._told("")
                return None
            with JUDGING:
                order = await self._judged(message)
        except Exception as error:  # no memory, or the medium: nothing that the order can help
            self._told(said(error))
            self.unjudged = True
            return None
        if order:
            self._outdate(order.document)
            self.report.clear()
        return order

    def forget(self) -> None:
        """Forgets what was judged: under another root the same message may be accepted."""
        self.judged = []
        self.later = None

    async def _judged(self, message: bytes) -> "AcceptedOrder | None":
        from modelwave_agent.case import AlreadyJudged, Case
        from modelwave_agent.checks import OrderRefused, judge

        while True:
            record = self.ledger.record
            case = Case(
                message,
                self.model,
                self.device,
                record,
                lambda: self.ports.has(spare(self.ledger.record)),
                self.judged,
                self.ports.clock.wall(),
                self.ports.clock.is_synchronised(),
                self.ports.shadow,
            )
            try:
                order = await judge(case, self.ports.clock.breathe)
            except AlreadyJudged:
                self._told("")
                return None
            except OrderRefused as refused:
                self._told("")
                self._refuse(refused, case)
                self._note(case, refused.check.name)
                return None
            except Exception as error:  # of a port, or no memory
                if not case.manifest:
                    raise  # not all of the message is known to be authentic
                self._wait(case)
                self._told(said(error))
                return None
            self._told("")
            self._note(case, "")
            if record is self.ledger.record:  # else the record changed meanwhile: judge again
                return order

    def _told(self, why: str) -> None:
        """Tells why the last message could not be judged; "": it was."""
        self.unjudged = False
        self.report.trouble("judging", "judging: " + why if why else "")

    def _wait(self, case: "Case") -> None:
        """Keeps the order, which is authentic, to judge it again, unless a newer one waits."""
        number = (case.order["epoch"], case.order["seq"])
        self.seen = max(self.seen, number)
        if not self.later or number >= self.number:
            self.later, self.number = case.message, number

    def _outdate(self, order: "Document | None") -> None:
        """Forgets the order that waits, if `order` is newer. None: it may be a stranger's."""
        if order and (order["epoch"], order["seq"]) >= self.number:
            self.later = None

    def _note(self, case: "Case", refused: str) -> None:
        """Notes which orders have come; `refused` is the check that refused this one, or ""."""
        if refused == "fields":  # it was signed, and is of a newer controller
            self.unread = True
        elif case.order and refused not in ("addressed", "paired"):
            self.unread = False
            self.seen = max(self.seen, (case.order["epoch"], case.order["seq"]))

    def _refuse(self, refused: "OrderRefused", case: "Case") -> None:
        check, order = refused.check, case.order if refused.check.proven else None
        if check.passing:
            self._wait(case)
        else:
            # A payload is remembered by its digest only if it is authentic: a stranger may have
            # sent the payload of a good order with a bad signature.
            digest = case.digest if check.proven else hexdigest(case.message)
            self.judged = (self.judged + [digest])[-MAX_JUDGED:]
            self._outdate(order)
        if order is None:
            self.report.tell(str(refused))
        else:
            self.report.refuse(Refusal(check.name, clean(str(refused)), order))
