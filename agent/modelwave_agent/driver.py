"""Drives one model through machine.TABLE: the record is durable first, then its effects."""

import asyncio

from modelwave_agent import machine
from modelwave_agent.download import Download, Spoiled, finish
from modelwave_agent.ports import FetchError
from modelwave_agent.trial import Trial
from modelwave_shared.limits import MAX_TEXT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from modelwave_agent.banks import Banks
    from modelwave_agent.journal import Journal
    from modelwave_agent.machine import Detail, Effects
    from modelwave_agent.ports import Clock, Fetcher, Hooks, Runtime
    from modelwave_shared.fields import Document

    Next = tuple[str, Detail] | None  # the event that follows from an effect
    Work = Callable[..., Coroutine[Any, Any, None]]
    Effect = Callable[["Driver"], Coroutine[Any, Any, Next]]

JOURNAL_PAUSE_SECONDS = (1, 5, 25)  # between tries to write it


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


class Driver:
    """What one model does on one device. At most one task is at work on it."""

    def __init__(
        self,
        model: str,
        journal: "Journal",
        banks: "Banks",
        runtime: "Runtime",
        fetcher: "Fetcher",
        hooks: "Hooks",
        clock: "Clock",
    ) -> None:
        self.model = model
        self.journal = journal
        self.banks = banks
        self.runtime = runtime
        self.fetcher = fetcher
        self.hooks = hooks
        self.clock = clock
        self.record = journal.read() or machine.new_record()
        # Called when the report has something new to say.
        self.changed: "Callable[[], None]" = lambda: None
        self.note = ""  # what the report says beside outcomes
        # The accepted order and its manifest, once they are at hand.
        self.order: "tuple[Document, Document] | None" = None
        self.trial: "Trial | None" = None
        self.task: "asyncio.Task[None] | None" = None
        self.ended = self.booted = asyncio.Event()

    def boot(self) -> None:
        """What a reset left to do; `booted` is set when it is done."""
        self.booted = self.start(self._drive, machine.boot_event(self.record), {})

    async def begin(
        self, order: "tuple[Document, Document]", reason: str, detail: "Detail"
    ) -> None:
        """Ends the order under way, if there is one, for `reason`, and takes this one."""
        if self.record["state"] != "idle":
            await self._drive("superseded", {"reason": reason})
        if self.record["state"] != "idle":
            return  # the journal could not be written; the order will come again
        self.order = order
        event = machine.order_event(self.record, detail["bank"]["manifest"])
        await self._drive(event, detail)

    async def go_on(self) -> None:
        """The order under way came again after what was under way had stopped."""
        await self._drive("again", {})

    def observe(self, release: int, inferences: int, failures: int) -> None:
        """The program ran `release` so often; `failures` of the inferences failed."""
        live = self.live()
        if self.trial and live and live.on_trial and live.release == release:
            self.trial.observe(inferences, failures)

    def live(self) -> "Live | None":
        """The model that serves now, or None."""
        record = self.record  # once: a host's program asks from another thread
        bank = machine.serving(record)
        entry = record["banks"][bank]
        if entry is None:
            return None
        on_trial = record["state"] == "trial"
        return Live(self.model, entry, bank, self.banks, on_trial)

    def busy(self) -> bool:
        return self.task is not None and not self.task.done()

    async def stop(self) -> None:
        """Ends what is under way; the journal knows where it was."""
        await asyncio.sleep(0)  # what was only just started would never say that it ended
        if self.task is not None and not self.task.done():
            self.task.cancel()
            await self.ended.wait()

    def start(self, work: "Work", *args: "Any") -> "asyncio.Event":
        """Begins `work`; the event that it has ended. That is what others wait for: awaiting
        the task would tie their cancellation to its own."""
        self.ended = asyncio.Event()
        self.task = asyncio.create_task(self._to_its_end(work, args, self.ended))
        return self.ended

    async def _to_its_end(
        self, work: "Work", args: "tuple[Any, ...]", ended: "asyncio.Event"
    ) -> None:
        try:
            await work(*args)
        except Exception as error:
            self.note = "fault: %s" % _said(error)
            self.changed()
            raise
        finally:
            ended.set()

    async def _drive(self, event: str, detail: "Detail") -> None:
        while event:
            effects = await self._step(event, detail)
            event, detail = "", {}
            for effect in effects:
                event, detail = await self.EFFECTS[effect](self) or ("", {})
                if event:
                    break

    async def _step(self, event: str, detail: "Detail") -> "Effects":
        """Makes the step durable; its effects. A journal that cannot be written is tried
        again, and then the state stays what it was: not durable is not done."""
        if "reason" in detail:
            detail = {"reason": clean(detail["reason"])}
        record, effects = machine.step(self.record, event, detail)
        for pause in JOURNAL_PAUSE_SECONDS:
            try:
                if record != self.record:
                    self.journal.write(record)
            except OSError as error:
                self.note = "journal: %s" % error
                self.changed()
                await self.clock.sleep(pause)
            else:
                self.record = record
                return effects
        return ()

    # Effects. Each returns the event that follows from it with its detail, or None.

    async def _check(self) -> "Next":
        entry = self.record["banks"][self.record["live"]]
        if entry:
            steps = self.banks.whole(self.record["live"], entry["files"])
            problem = await finish(steps, self.clock)
            if problem:
                return "damaged", {"reason": problem}
        return None

    async def _clear(self) -> "Next":
        try:
            self.banks.clear(machine.spare(self.record))
        except OSError as error:
            return "broken", {"reason": "flash: %s" % error}
        return "cleared", {}

    async def _fetch(self) -> "Next":
        if self.order is None:
            return None  # after a reset: the order is retained and comes again
        order, manifest = self.order
        download = Download(self.banks, machine.spare(self.record), self.fetcher, self.clock)
        try:
            await download.run(manifest["files"], order["urls"])
        except Spoiled as error:
            if self.record["spoils"] + 1 < machine.MAX_TRIES:
                return "spoiled", {}
            return "failed", {"reason": "download: %s" % error}
        except FetchError as error:
            return "failed", {"reason": "download: %s" % error}
        except OSError as error:
            return "broken", {"reason": "flash: %s" % error}
        return "fetched", {}

    async def _prove(self) -> "Next":
        assert self.order is not None
        bank = machine.spare(self.record)
        try:
            verdict = await self.runtime.prove(
                self.banks.path(bank, "model"),
                self.banks.path(bank, "golden"),
                self.order[1]["tolerance"],
                self._breathe,
            )
        except (OSError, MemoryError) as error:
            return "failed", {"reason": "proof: %s" % _said(error)}
        except Exception as error:  # a user's own runtime may raise anything
            verdict = "proof: %s" % _said(error)
        return ("unhealthy", {"reason": verdict}) if verdict else ("proved", {})

    async def _serve(self) -> "Next":
        on_trial = self.record["state"] == "trial"
        if on_trial:
            assert self.order is not None
            self.trial = Trial(self.order[0]["trial"])
        problem = await self._ask(self.hooks.serve)
        return ("unhealthy", {"reason": problem}) if problem and on_trial else None

    async def _watch(self) -> "Next":
        assert self.trial is not None

        async def healthy() -> str:
            return await self._ask(self.hooks.healthy)

        problem = await self.trial.verdict(self.clock, healthy)
        return ("unhealthy", {"reason": problem}) if problem else ("healthy", {})

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

    async def _ask(self, hook: "Callable[[Live | None], Coroutine[Any, Any, str]]") -> str:
        """What a hook says of the live model; a hook that breaks says so."""
        try:
            return await hook(self.live())
        except Exception as error:
            return "hook: %s" % _said(error)

    async def _breathe(self) -> None:
        await self.clock.sleep(0)


def clean(text: str) -> str:
    """`text` as a report and the journal carry it: a line of printable ASCII, not too long."""
    return "".join(c if " " <= c <= "~" else "?" for c in text[:MAX_TEXT])


def _said(error: Exception) -> str:
    return "%s: %s" % (type(error).__name__, error)
