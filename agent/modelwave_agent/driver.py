"""Runs the state machine (machine.TABLE) of one model: stores the new record durably, then does
its effects."""

from modelwave_agent import machine
from modelwave_agent.banks import NAMES
from modelwave_agent.ports import FetchError, Undecided
from modelwave_agent.record import clean, said, serving, spare
from modelwave_agent.retries import Retries
from modelwave_agent.trial import TrialWatch
from modelwave_agent.upcoming import Upcoming
from modelwave_shared.lean import Phase
from modelwave_shared.words import OFFERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from modelwave_agent.download import Download
    from modelwave_agent.ledger import Ledger
    from modelwave_agent.model_report import ModelReport
    from modelwave_agent.ports import Ports
    from modelwave_agent.progress import Progress
    from modelwave_agent.types import AcceptedOrder, Detail, Document, HookAnswer, Live, Next

    Effect = Callable[["Driver"], Coroutine[Any, Any, Next]]
    Hook = Callable[[Live], HookAnswer]

FETCHING = Phase(
    "modelwave_agent.delta",
    "modelwave_agent.patch",
    "modelwave_agent.download",
    "modelwave_agent.intake",
    "modelwave_shared.deltas",
)
NOT_NOW = "the program says: not now"
BOOLS = ("bool", "bool_")  # the second one is numpy's; numpy 2 calls it "bool" too
PROVING = Phase("modelwave_agent.proof", "modelwave_shared.golden")


class Driver:
    """Handles one event, and all events that follow from it."""

    def __init__(
        self, ledger: "Ledger", progress: "Progress", report: "ModelReport", ports: "Ports"
    ) -> None:
        self.ledger = ledger
        self.progress = progress
        self.report = report
        self.ports = ports
        order = progress.order
        self.fault = ""  # why the work has to be tried again
        self.retries = Retries(ports.clock, report, order.document["expires"] if order else None)

    async def run(self, event: str, order: "AcceptedOrder | None") -> None:
        """Handles `event`: "boot" after a reset; "verify" if the live bank could not be read then;
        "again" when the order in progress came again; "ordered" to cancel the order in progress,
        if there is one, and to begin `order`. Raises NotDurable as Ledger.step."""
        ledger = self.ledger
        if event == "verify":
            return await self._verify()
        detail: "Detail" = {}
        if event == "boot":
            if not ledger.is_loaded:
                ledger.load()
            woken = self.ports.woken(ledger.record)
            event, detail = woken or (machine.boot_event(ledger.record), detail)
        if order:
            if ledger.record["state"] != "idle":
                reason = "superseded by order %d" % order.document["seq"]
                await self.drive("superseded", {"reason": reason})
            if not self.progress.served:
                await self._serve()  # the new order canceled this call before its end
            self.progress.order = order
            self.retries.expires = order.document["expires"]
            event = machine.order_event(ledger.record, order.document["manifest"])
            if event == "running" and ledger.record["live"] not in self.progress.whole:
                event = "accepted"  # it cannot be read: it comes into the other bank
            detail = _detail(order)
        await self.drive(event, detail)

    async def drive(self, event: str, detail: "Detail") -> None:
        """Does the step of `event`, and of each event that its effects return."""
        while event:
            effects = await self.ledger.step(event, detail)
            event, detail = "", {}
            if "serve" in effects:
                self.progress.served = False
            for effect in effects:
                event, detail = await self.EFFECTS[effect](self) or ("", {})
                if event:
                    break

    async def _verify(self) -> None:
        """Hashes the live bank again, and serves it if it is what was signed."""
        found = await self._check()
        if found:
            self.progress.lost = True
            await self.drive(*found)
        elif self.ledger.record["live"] in self.progress.whole:
            await self._serve()
            self.report.changed()

    # Effects. Each returns the next event with its detail, or None.

    async def _check(self) -> "Next":
        record = self.ledger.record
        bank = serving(record)
        entry = record["banks"][bank]
        if entry:
            try:
                with FETCHING:
                    problem = await self._damage(bank, entry["files"])
            except OSError as error:
                # Only a hash that differs is damage. Until it was read nothing is served.
                problem = "bank %s cannot be read: %s" % (NAMES[bank], error)
                self.report.trouble("bank", problem)
                self.fault = problem
                return ("unproven", {}) if record["state"] == "trial" else None
            self.report.trouble("bank", "")
            told = self.ports.unusable(bank)  # once, and of this bank: not of the one after it
            problem = problem or told
            if problem:
                event = "unhealthy" if record["state"] == "trial" else "damaged"
                return event, {"reason": problem}
            self.progress.whole.add(bank)
        return None

    async def _clear(self) -> "Next":
        self.progress.whole.discard(spare(self.ledger.record))
        try:
            self.ports.banks.clear(spare(self.ledger.record))
        except OSError as error:
            self.fault = "flash: %s" % error
            return "stuck", {}
        return "cleared", {}

    async def _rest(self) -> "Next":
        """Waits until the work may be tried again after self.fault."""
        again = await self.retries.wait(self.fault)
        return None if again else ("failed", {"reason": self.fault})

    async def _defer(self) -> "Next":
        """Waits until the program, which said self.fault, is to be asked again."""
        if await self.retries.defer(self.fault, self.progress.update_now):
            return None
        return "expired", {"reason": "deferred until the order expired: " + self.fault}

    async def _fetch(self) -> "Next":
        if self.progress.order is None:
            return None  # after a reset; the broker retains the order and sends it again
        if await self._is_deferred():
            return "deferred", {}
        with FETCHING:
            return await self._downloaded(self.progress.order)

    async def _prove(self) -> "Next":
        try:
            verdict = await self._verdict()
        except (OSError, MemoryError) as error:
            self.fault = "proof: %s" % said(error)
            return "unproven", {}
        self.retries.restarts = 0
        self.retries.forget()
        if verdict:
            return "unhealthy", {"reason": verdict}
        if self._goes_beside():
            return "beside", {}
        return ("deferred", {}) if await self._is_deferred() else ("proved", {})

    def _goes_beside(self) -> bool:
        """Whether the model, which has passed its golden set, runs beside the live one now."""
        assert self.progress.order is not None
        order = self.progress.order.document
        if not order["shadow"]:
            return False
        return not (self._shadow_problem() and order["extra"]["shadow"]["else_trial"])

    def _shadow_problem(self) -> str:
        from modelwave_agent.shadow import problem

        assert self.progress.order is not None
        return problem(self.progress.order.document, self.ledger.record, self.ports.shadow)

    async def _shadow(self) -> "Next":
        assert self.progress.order is not None
        if self.retries.is_over():
            return "expired", {"reason": "the order expired before the shadow was over"}
        event, told = "stuck", self._shadow_problem()
        ports, ledger = self.ports, self.ledger
        if not told:
            assert ports.shadow is not None
            try:
                event, told = await ports.shadow.run(
                    self.progress.order,
                    ports.banks.path(spare(ledger.record), "model"),
                    ledger.record.get("shadow_seconds", 0),
                    lambda seconds: ledger.step("lasted", {"seconds": seconds}),
                )
            except (OSError, MemoryError) as error:
                told = said(error)
        self.fault = "shadow: " + told
        return event, {"reason": self.fault}

    async def _verdict(self) -> str:
        """Runs the golden set. Returns "" or what is wrong with the model. Raises OSError or
        MemoryError if the device cannot tell now."""
        assert self.progress.order is not None
        banks, bank = self.ports.banks, spare(self.ledger.record)
        try:
            with PROVING:
                return await self.ports.runtime.prove(
                    banks.path(bank, "model"),
                    banks.path(bank, "golden"),
                    self.progress.order.manifest,
                    self.ports.clock.breathe,
                )
        except (OSError, MemoryError):
            raise
        except Exception as error:  # a user's own runtime may raise anything
            return "proof: %s" % said(error)

    async def _serve(self) -> "Next":
        record = self.ledger.record
        if self.ledger.live() and serving(record) not in self.progress.whole:
            return None  # work.py tries again
        on_trial = record["state"] == "trial"
        if on_trial:
            assert self.progress.order is not None
            order = self.progress.order
            allowed = order.extra("max_failed_ppm") or 0
            self.progress.trial = TrialWatch(self.ports.trial(order.document["trial"]), allowed)
        try:
            problem = await self._ask(self.ports.hooks.serve)
        except Undecided as error:
            self.progress.served = True
            return self._undecided(error) if on_trial else None
        self.progress.served = True
        return ("unhealthy", {"reason": problem}) if problem and on_trial else None

    async def _watch(self) -> "Next":
        assert self.progress.trial is not None

        async def healthy() -> str:
            return await self._ask(self.ports.hooks.healthy)

        try:
            problem = await self.progress.trial.verdict(self.ports.clock, healthy)
        except Undecided as error:
            return self._undecided(error)
        if problem:
            return "unhealthy", {"reason": problem}
        self.report.trouble("bank", "")  # the bank that had it serves no more
        return "healthy", {}

    def _undecided(self, error: Undecided) -> "Next":
        """Returns the event if a hook could not tell whether the model on trial is healthy."""
        self.fault = clean(str(error))
        self.retries.undecided += 1
        event = machine.lost_event(self.ledger.record) if error.is_attempt else "unproven"
        return event, {"reason": self.fault}

    async def _report(self) -> "Next":
        self.report.changed()
        return None

    # The effects by their names in machine.TABLE.
    EFFECTS: "dict[str, Effect]" = {
        "check": _check,
        "clear": _clear,
        "rest": _rest,
        "defer": _defer,
        "fetch": _fetch,
        "prove": _prove,
        "shadow": _shadow,
        "serve": _serve,
        "watch": _watch,
        "report": _report,
    }

    async def _damage(self, bank: int, files: "list[Document]") -> str:
        from modelwave_agent.download import damage

        return await damage(self.ports.banks, bank, files, self.ports.clock.breathe)

    async def _downloaded(self, order: "AcceptedOrder") -> "Next":
        from modelwave_agent.download import Download, Spoiled

        ports = self.ports
        bank = spare(self.ledger.record)
        download = Download(ports.banks, bank, ports.fetcher, ports.clock, self.retries)
        try:
            saved = await self._made_by_delta(download, order)
            await download.run(order.manifest["files"], order.document["urls"])
        except FetchError as error:
            return "failed", {"reason": "download: %s" % error}
        except (Spoiled, OSError) as error:
            part = "download" if isinstance(error, Spoiled) else "flash"
            self.fault = "%s: %s" % (part, error)
            self.retries.restarts += 1
            return "spoiled", {}
        self.progress.whole.add(bank)
        return "fetched", {"saved": saved}

    async def _made_by_delta(self, download: "Download", order: "AcceptedOrder") -> int:
        """Returns the bytes that a delta has spared of the download."""
        patcher, record = self.ports.patcher, self.ledger.record
        # Only a file that was hashed since the reset is known to be the one that was signed.
        if not patcher or not order.extra(OFFERS) or record["live"] not in self.progress.whole:
            return 0
        from modelwave_agent import delta

        return await delta.bring(download, patcher, record, order)

    async def _is_deferred(self) -> bool:
        """Asks the program whether the update may go on now; self.fault is why it may not."""
        assert self.progress.order is not None
        manifest = self.progress.order.manifest
        upcoming = Upcoming(self.ledger.model, manifest["release"], clean(manifest["version"]))
        self.progress.update_now.clear()  # before the question: the program may change its mind
        self.fault = await _answer(self.ports.hooks.may_update, upcoming, NOT_NOW)
        if not self.fault:
            self.retries.go_on()
        return bool(self.fault)

    async def _ask(self, hook: "Hook") -> str:
        """Calls `hook` with the live model, if there is one. Returns "" or the problem."""
        live = self.ledger.live()
        return await _answer(hook, live) if live else ""


async def _answer(hook: "Callable[[Any], Any]", about: "Any", no: str = "") -> str:
    """Calls `hook`. Returns "" or the problem; an exception of the hook is a problem too, but for
    Undecided, which it raises. If `no` is given, the hook may return a bool, and False means `no`.
    Only None and an empty text are no problem: a program may mean "no" by 0."""
    try:
        answer = hook(about)
        # MicroPython would await a list as well, and then never go on.
        if hasattr(answer, "__await__") or hasattr(answer, "send") or hasattr(answer, "cancel"):
            answer = await answer
        if no and type(answer).__name__ in BOOLS:
            answer = "" if answer else no
        if answer is None:
            return ""
        if not isinstance(answer, str):
            raise TypeError("it gave a %s, not a text" % type(answer).__name__)
        return clean(answer)
    except Undecided:
        raise
    except (Exception, SystemExit) as error:
        return "hook: %s" % said(error)


def _detail(order: "AcceptedOrder") -> "Detail":
    """Returns the parts of an accepted order that machine.take stores in the record."""
    document, manifest = order.document, order.manifest
    return {
        "order": {"epoch": document["epoch"], "seq": document["seq"], "sha256": order.digest},
        "time": order.floor,
        "lift_ban": order.extra("lift_ban"),
        "bank": {
            "manifest": document["manifest"],
            "release": manifest["release"],
            "version": clean(manifest["version"]),
            "files": manifest["files"],
            "limit_us": manifest["limit_us"],
            "format": manifest["format"],
            "loading": manifest.get("loading", {}),
            "confirmed": False,
        },
    }
