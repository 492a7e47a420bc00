"""Drives one model through machine.TABLE: the record is durable first, then its effects."""

import asyncio

from modelwave_agent import checks, machine
from modelwave_agent.banks import TooLong
from modelwave_agent.ports import FetchError
from modelwave_shared.dsse import hexdigest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from modelwave_agent.banks import Banks, Intake
    from modelwave_agent.checks import Device
    from modelwave_agent.journal import Journal
    from modelwave_agent.machine import Detail
    from modelwave_agent.ports import Clock, Fetcher, Hooks, Runtime
    from modelwave_shared.fields import Document

    Next = tuple[str, Detail] | None  # the event that follows from an effect
    Effect = Callable[["Update"], Coroutine[Any, Any, Next]]

FETCH_TRIES = 6  # in a row that brought less than PROGRESS_BYTES
PROGRESS_BYTES = 65536
FETCH_PAUSE_SECONDS = (1, 2, 4, 8, 15)
TRIAL_POLL_SECONDS = 5
MAX_JUDGED = 8


class Live:
    """The model that serves: where its files are and what it is."""

    def __init__(
        self, model: str, entry: "Document", bank: int, banks: "Banks", on_trial: bool
    ) -> None:
        self.model = model
        self.release: int = entry["release"]
        self.version: str = entry["version"]
        self.on_trial = on_trial
        self.path = banks.path(bank, "model")
        roles = [file["role"] for file in entry["files"]]
        self.labels_path = banks.path(bank, "labels") if "labels" in roles else None


class Update:
    """One model on one device."""

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
        self.model = model
        self.device = device
        self.root = root
        self.journal = journal
        self.banks = banks
        self.runtime = runtime
        self.fetcher = fetcher
        self.hooks = hooks
        self.clock = clock
        self.record = journal.read() or machine.new_record()
        # Called when the report has something new to say.
        self.changed: "Callable[[], None]" = lambda: None
        # The last authentic order that was not for us.
        self.refused: "checks.Refused | None" = None
        self.note = ""  # why the last message that proved nothing was refused
        # Digests of payloads and messages refused, newest last.
        self.judged: "list[str]" = []
        # The accepted order and its manifest, once they are at hand.
        self.order: "tuple[Document, Document] | None" = None
        self.task: "asyncio.Task[None] | None" = None
        self.booted: "asyncio.Task[None] | None" = None
        self.observed = asyncio.Event()
        self.trial_inferences = self.trial_failures = 0

    # What comes from outside: a reset, a message, what inferences came to.

    def boot(self) -> None:
        self._go(machine.boot_event(self.record), {})
        self.booted = self.task

    async def consider(self, message: bytes) -> None:
        """Judges the bytes of a desired topic, and acts if they are an order to be taken.
        What a reset left to do comes first: an order is judged by what is then true."""
        assert self.booted is not None
        await self.booted
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
            self._refuse(refusal, case.digest if refusal.order else name)
            return
        await self._take(case)

    def observe(self, inferences: int, failures: int) -> None:
        """The program ran the live model `inferences` times; `failures` of them failed."""
        if self.record["state"] == "trial":
            self.trial_inferences += inferences
            self.trial_failures += failures
            self.observed.set()

    # What others may ask.

    def live(self) -> "Live | None":
        """The model that serves now (Live), or None."""
        bank = machine.serving(self.record)
        entry = self.record["banks"][bank]
        if entry is None:
            return None
        on_trial = self.record["state"] == "trial"
        return Live(self.model, entry, bank, self.banks, on_trial)

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
        about: "Any" = refused.order if refused else record["order"]
        return {
            "release": live["release"] if live else 0,
            "sha256": live["manifest"] if live else "",
            "state": record["state"],
            "epoch": about["epoch"],
            "seq": about["seq"],
            "outcome": refused.outcome if refused else record["outcome"],
            "reason": refused.reason if refused else record["reason"],
        }

    # Steps.

    def _refuse(self, refusal: "checks.Refused", digest: str) -> None:
        self.judged = (self.judged + [digest])[-MAX_JUDGED:]
        if refusal.order:
            self.refused = refusal
        elif refusal.reason == self.note:
            return
        else:
            self.note = refusal.reason
        self.changed()

    async def _take(self, case: "checks.Case") -> None:
        order, manifest = case.order, case.manifest
        event = machine.order_event(self.record, case.digest, order["manifest"])
        if event == "superseded":
            await self.stop()
            self._step("superseded", {"reason": "superseded by order %d" % order["seq"]})
            self.changed()
            event = machine.order_event(self.record, case.digest, order["manifest"])
        self.order, self.refused = (order, manifest), None
        if event:
            self._go(event, _detail(case))
        elif self.record["state"] == "fetching" and not self._busy():
            self._go("again", {})

    def _busy(self) -> bool:
        return self.task is not None and not self.task.done()

    async def stop(self) -> None:
        """Ends what is under way; the journal knows where it was."""
        if self._busy():
            assert self.task is not None
            self.task.cancel()
            try:
                await self.task
            except asyncio.CancelledError:
                pass

    def _go(self, event: str, detail: "Detail") -> None:
        self.task = asyncio.create_task(self._drive(event, detail))

    def _step(self, event: str, detail: "Detail") -> "tuple[str, ...]":
        """Makes the step durable; its effects."""
        record, effects = machine.step(self.record, event, detail)
        if record != self.record:
            self.journal.write(record)
        self.record = record
        return effects

    async def _drive(self, event: str, detail: "Detail") -> None:
        while event:
            try:
                effects = self._step(event, detail)
            except OSError as error:
                # Not durable, so not done: the state is what it was.
                self.note = "journal: %s" % error
                self.changed()
                return
            event = ""
            for effect in effects:
                event, detail = await self.EFFECTS[effect](self) or ("", {})
                if event:
                    break

    # Effects. Each returns the event that follows from it with its detail, or None.

    async def _check(self) -> "Next":
        entry = self.record["banks"][self.record["live"]]
        if entry:
            problem = await self._hash(self.record["live"], entry["files"])
            if problem:
                return "damaged", {"reason": problem}
        return None

    async def _clear(self) -> "Next":
        try:
            self.banks.clear(machine.spare(self.record))
        except OSError as error:
            return "failed", {"reason": "flash: %s" % error}
        return "cleared", {}

    async def _fetch(self) -> "Next":
        if self.order is None:
            return None  # after a reset: the order is retained and comes again
        order, manifest = self.order
        bank = machine.spare(self.record)
        try:
            for entry in manifest["files"]:
                if not await self._fetch_file(order["urls"], bank, entry):
                    raise TooLong("%s: its sha256 differs" % entry["role"])
        except TooLong as error:
            if self.record["tries"] + 1 < machine.MAX_TRIES:
                return "spoiled", {}
            return "failed", {"reason": "download: %s" % error}
        except FetchError as error:
            return "failed", {"reason": "download: %s" % error}
        except OSError as error:
            return "failed", {"reason": "flash: %s" % error}
        return "fetched", {}

    async def _fetch_file(self, urls: "list[str]", bank: int, entry: "Document") -> bool:
        """Whether the file is in the bank as it was signed. TooLong, FetchError, OSError."""
        if self.banks.size(bank, entry["role"]) > entry["size"]:
            return False
        intake = self.banks.intake(bank, entry)
        try:
            await self._fetch_rest(urls, intake)
        finally:
            intake.close()
        return intake.matches()

    async def _fetch_rest(self, urls: "list[str]", intake: "Intake") -> None:
        tries = attempt = 0
        while intake.offset < intake.wanted:
            start = intake.offset
            url = "%s/%s" % (urls[attempt % len(urls)], intake.sha256)
            problem = "the server sent too little"
            try:
                await self.fetcher.fetch(url, intake)
            except FetchError as error:
                problem = str(error)
            if intake.offset == intake.wanted:
                return
            attempt += 1
            tries = 0 if intake.offset - start >= PROGRESS_BYTES else tries + 1
            if tries == FETCH_TRIES:
                raise FetchError(
                    "%s, after %d of %d bytes" % (problem, intake.offset, intake.wanted)
                )
            if tries:
                await self.clock.sleep(FETCH_PAUSE_SECONDS[tries - 1])

    async def _prove(self) -> "Next":
        assert self.order is not None
        bank = machine.spare(self.record)
        verdict = await self.runtime.prove(
            self.banks.path(bank, "model"),
            self.banks.path(bank, "golden"),
            self.order[1]["tolerance"],
            self._breathe,
        )
        return ("unhealthy", {"reason": verdict}) if verdict else ("proved", {})

    async def _serve(self) -> "Next":
        problem = await self.hooks.serve(self.live())
        if problem and self.record["state"] == "trial":
            return "unhealthy", {"reason": problem}
        return None

    async def _watch(self) -> "Next":
        assert self.order is not None
        self.trial_inferences = self.trial_failures = 0
        trial = self.order[0]["trial"]
        end = self.clock.now() + trial["seconds"]
        while True:
            if self.trial_failures:
                return "unhealthy", {
                    "reason": "%d of %d inferences on trial failed"
                    % (self.trial_failures, self.trial_inferences)
                }
            left = end - self.clock.now()
            if left <= 0 and self.trial_inferences >= trial["inferences"]:
                problem = await self.hooks.healthy(self.live())
                return ("unhealthy", {"reason": problem}) if problem else ("healthy", {})
            self.observed.clear()
            await self.clock.wait(
                self.observed, min(left, TRIAL_POLL_SECONDS) if left > 0 else TRIAL_POLL_SECONDS
            )

    async def _report(self) -> "Next":
        self.changed()
        return None

    EFFECTS: "dict[str, Effect]" = {
        machine.CHECK: _check,
        machine.CLEAR: _clear,
        machine.FETCH: _fetch,
        machine.PROVE: _prove,
        machine.SERVE: _serve,
        machine.WATCH: _watch,
        machine.REPORT: _report,
    }

    async def _hash(self, bank: int, files: "list[Document]") -> str:
        """ "" if the files are whole, or what is wrong; others run meanwhile."""
        steps = self.banks.whole(bank, files)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                problem: str = end.value
                return problem
            await self._breathe()

    async def _breathe(self) -> None:
        await self.clock.sleep(0)


def _detail(case: "checks.Case") -> "Detail":
    """What machine.take keeps of an accepted order."""
    order, manifest = case.order, case.manifest
    return {
        "order": {"epoch": order["epoch"], "seq": order["seq"], "sha256": case.digest},
        "time": order["issued"],
        "bank": {
            "manifest": order["manifest"],
            "release": manifest["release"],
            "version": manifest["version"],
            "files": manifest["files"],
            "confirmed": False,
        },
    }
