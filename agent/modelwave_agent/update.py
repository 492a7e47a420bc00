"""Judges what comes for one model, hands what is accepted to its driver, and reports."""

from modelwave_agent import checks, machine
from modelwave_agent.driver import Driver, clean
from modelwave_shared.dsse import hexdigest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.banks import Banks
    from modelwave_agent.checks import Case, Device
    from modelwave_agent.journal import Journal
    from modelwave_agent.machine import Detail
    from modelwave_agent.ports import Clock, Fetcher, Hooks, Runtime
    from modelwave_shared.fields import Document

MAX_JUDGED = 8


class Update(Driver):
    """One model on one device, as the agent sees it."""

    def __init__(
        self,
        model: str,
        device: "Device",
        root: "Document",
        journal: "Journal",
        banks: "Banks",
        runtime: "Runtime",
        fetcher: "Fetcher",
        hooks: "Hooks",
        clock: "Clock",
    ) -> None:
        """`device`: {fleet, device, target, slot}; `root`: the checked root document; the
        rest are ports."""
        super().__init__(model, journal, banks, runtime, fetcher, hooks, clock)
        self.device = device
        self.root = root
        # The last authentic order that was not for us.
        self.refused: "checks.Refused | None" = None
        # Digests of payloads and messages that no time will make good, newest last.
        self.judged: "list[str]" = []
        # The last order that may be taken later, to be judged again.
        self.later: "bytes | None" = None

    async def consider(self, message: bytes) -> None:
        """Judges the bytes of a desired topic, and acts if they are an order to be taken.
        What a reset left to do comes first: an order is judged by what is then true."""
        await self.booted.wait()
        name = hexdigest(message)
        if name in self.judged:
            return
        case = checks.Case(
            message,
            self.model,
            self.device,
            self.root,
            self.record,
            self.has(),
            self.judged,
            self.clock.wall(),
        )
        try:
            checks.judge(case)
        except checks.Judged:
            return
        except checks.Refused as refusal:
            self._refuse(refusal, case.digest if refusal.order else name, message)
            return
        await self._take(case)

    def has(self) -> "Document":
        """What a release can be given here (modelwave_shared.fit)."""
        return {
            "flash": self.banks.room(machine.spare(self.record)),
            "ram": self.runtime.free_ram(),
            "runtime": self.runtime.format,
            "runtime_version": self.runtime.version,
            "accelerator": self.runtime.accelerator,
            "kernels": self.runtime.kernels,
        }

    def state(self) -> "Document":
        """This model's part of the report."""
        record, refused = self.record, self.refused
        live = record["banks"][record["live"]]
        about = refused.order if refused and refused.order else record["order"]
        return {
            "release": live["release"] if live else 0,
            "sha256": live["manifest"] if live else "",
            "state": record["state"],
            "epoch": about["epoch"],
            "seq": about["seq"],
            "outcome": refused.outcome if refused else record["outcome"],
            "reason": clean(refused.reason) if refused else record["reason"],
        }

    def _refuse(self, refusal: "checks.Refused", digest: str, message: bytes) -> None:
        if refusal.check in checks.PASSING:
            self.later = message
        else:
            self.judged = (self.judged + [digest])[-MAX_JUDGED:]
            self.later = None if refusal.order else self.later
        if refusal.order:
            last = self.refused
            # A reason that only counts on, or down, is not told again and again.
            known = last and (last.check, last.order) == (refusal.check, refusal.order)
            self.refused = refusal
        else:
            known = self.note == refusal.reason
            self.note = refusal.reason
        if not known:
            self.changed()

    async def _take(self, case: "Case") -> None:
        """An order that passed its checks. One that is under way already and has its task
        only goes on."""
        assert case.order is not None
        assert case.manifest is not None
        order = (case.order, case.manifest)
        self.refused, self.note, self.later = None, "", None
        if case.under_way:
            self.order = order
            if not self.busy():
                self.start(self.go_on)
            return
        await self.stop()
        reason = "superseded by order %d" % case.order["seq"]
        self.start(self.begin, order, reason, _detail(case))


def _detail(case: "Case") -> "Detail":
    """What machine.take keeps of an accepted order."""
    order, manifest = case.order, case.manifest
    assert order is not None
    assert manifest is not None
    return {
        "order": {"epoch": order["epoch"], "seq": order["seq"], "sha256": case.digest},
        "time": order["issued"],
        "bank": {
            "manifest": order["manifest"],
            "release": manifest["release"],
            "version": clean(manifest["version"]),
            "files": manifest["files"],
            "confirmed": False,
        },
    }
