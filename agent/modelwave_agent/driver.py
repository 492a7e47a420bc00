"""Drives one model through machine.TABLE: the record is durable first, then its effects."""

import asyncio

from modelwave_agent import machine
from modelwave_agent.ports import FetchError
from modelwave_agent.record import clean, said, spare
from modelwave_shared.lean import Phase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

    from modelwave_agent.machine import Detail
    from modelwave_agent.ports import Clock, HookAnswer
    from modelwave_agent.update import Live, Order, Update
    from modelwave_shared.fields import Document

    Next = tuple[str, Detail] | None  # the event that follows from an effect
    Effect = Callable[["Driver"], Coroutine[Any, Any, Next]]
    Hook = Callable[[Live], HookAnswer]

FETCHING = Phase("modelwave_agent.download", "modelwave_agent.intake")
PROVING = Phase("modelwave_agent.proof", "modelwave_shared.golden")
JOURNAL_PAUSE_SECONDS = (1, 5, 25)  # between tries to write it
POLL_SECONDS = 5  # of a trial


class Driver:
    """Does one piece of work on `update`, from an event until nothing follows from it."""

    def __init__(self, update: "Update") -> None:
        self.update = update

    async def run(self, event: str, order: "Order | None") -> None:
        """`event`: boot, after a reset; again, the order under way came once more; or
        ordered, and then `order` ends the one under way, if there is one, and is taken."""
        update = self.update
        detail: "Detail" = {}
        if event == "boot":
            event = machine.boot_event(update.record)
        if order:
            if update.record["state"] != "idle":
                reason = "superseded by order %d" % order[0]["seq"]
                await self.drive("superseded", {"reason": reason})
            if update.record["state"] != "idle":
                return  # the journal could not be written; the order will come again
            if not update.served:
                await self._serve()  # this order has cut short what told the program
            update.order = order
            event = machine.order_event(update.record, order[0]["manifest"])
            detail = _detail(order)
        await self.drive(event, detail)

    async def drive(self, event: str, detail: "Detail") -> None:
        while event:
            effects = await self.step(event, detail)
            event, detail = "", {}
            if "serve" in effects:
                self.update.served = False
            for effect in effects:
                event, detail = await self.EFFECTS[effect](self) or ("", {})
                if event:
                    break

    async def step(self, event: str, detail: "Detail") -> "list[str]":
        """Makes the step durable; its effects. A journal that cannot be written is tried
        again, and then the state stays what it was: not durable is not done."""
        update = self.update
        if "reason" in detail:
            detail = {"reason": clean(detail["reason"])}
        record, effects = machine.step(update.record, event, detail)
        for pause in JOURNAL_PAUSE_SECONDS:
            try:
                if record != update.record:
                    update.journal.write(record)
            except OSError as error:
                update.tell("journal: %s" % error)
                await update.clock.sleep(pause)
            else:
                update.record = record
                return effects
        return []

    # Effects. Each returns the event that follows from it with its detail, or None.

    async def _check(self) -> "Next":
        update = self.update
        live = update.record["live"]
        entry = update.record["banks"][live]
        if entry:
            with FETCHING:
                problem = await _damage(update, live, entry["files"])
            if problem:
                return "damaged", {"reason": problem}
        return None

    async def _clear(self) -> "Next":
        try:
            self.update.banks.clear(spare(self.update.record))
        except OSError as error:
            return "broken", {"reason": "flash: %s" % error}
        return "cleared", {}

    async def _fetch(self) -> "Next":
        if self.update.order is None:
            return None  # after a reset: the order is retained and comes again
        with FETCHING:
            return await _downloaded(self.update, self.update.order)

    async def _prove(self) -> "Next":
        update = self.update
        assert update.order is not None
        bank = spare(update.record)
        try:
            with PROVING:
                verdict = await update.runtime.prove(
                    update.banks.path(bank, "model"),
                    update.banks.path(bank, "golden"),
                    update.order[1]["tolerance"],
                    update.breathe,
                )
        except (OSError, MemoryError) as error:
            return "failed", {"reason": "proof: %s" % said(error)}
        except Exception as error:  # a user's own runtime may raise anything
            verdict = "proof: %s" % said(error)
        return ("unhealthy", {"reason": verdict}) if verdict else ("proved", {})

    async def _serve(self) -> "Next":
        update = self.update
        on_trial = update.record["state"] == "trial"
        if on_trial:
            assert update.order is not None
            update.trial = Trial(update.order[0]["trial"])
        problem = await self._ask(update.hooks.serve)
        update.served = True
        return ("unhealthy", {"reason": problem}) if problem and on_trial else None

    async def _watch(self) -> "Next":
        update = self.update
        assert update.trial is not None

        async def healthy() -> str:
            return await self._ask(update.hooks.healthy)

        problem = await update.trial.verdict(update.clock, healthy)
        return ("unhealthy", {"reason": problem}) if problem else ("healthy", {})

    async def _report(self) -> "Next":
        self.update.changed()
        return None

    EFFECTS: "dict[str, Effect]" = {
        "check": _check,
        "clear": _clear,
        "fetch": _fetch,
        "prove": _prove,
        "serve": _serve,
        "watch": _watch,
        "report": _report,
    }

    async def _ask(self, hook: "Hook") -> str:
        """What a hook says of the live model, if there is one; a hook that breaks says so."""
        live = self.update.live()
        try:
            answer = hook(live) if live else ""
            if answer and type(answer) is not str:
                answer = await answer  # type: ignore[misc]  # not a text: it is awaitable
        except Exception as error:
            answer = "hook: %s" % said(error)
        return answer or ""  # type: ignore[return-value]


class Trial:
    """The new model serves, and this waits until it may be confirmed. It counts what is
    observed from the moment that it is made."""

    def __init__(self, wanted: "Document") -> None:
        """`wanted`: the order's trial, {seconds, inferences}."""
        self.wanted = wanted
        self.inferences = self.failures = 0
        self.observed = asyncio.Event()

    def observe(self, inferences: int, failures: int) -> None:
        self.inferences += inferences
        self.failures += failures
        self.observed.set()

    async def verdict(self, clock: "Clock", healthy: "Callable[[], Awaitable[str]]") -> str:
        """ "" once the time is over, the inferences have run without a failure and `healthy`
        has nothing to say against it; or what is wrong."""
        end = clock.now() + self.wanted["seconds"]
        while not self.failures:
            left = end - clock.now()
            if left <= 0 and self.inferences >= self.wanted["inferences"]:
                problem = await healthy()
                if not self.failures:
                    return problem
                break
            self.observed.clear()
            await clock.wait(self.observed, min(left, POLL_SECONDS) if left > 0 else POLL_SECONDS)
        return "%d of %d inferences on trial failed" % (self.failures, self.inferences)


async def _damage(update: "Update", bank: int, files: "list[Document]") -> "str | None":
    from modelwave_agent.download import finish
    from modelwave_agent.intake import whole

    return await finish(whole(update.banks, bank, files), update.clock)


async def _downloaded(update: "Update", accepted: "Order") -> "Next":
    from modelwave_agent.download import Download, Spoiled

    order, manifest, _ = accepted
    download = Download(update.banks, spare(update.record), update.fetcher, update.clock)
    try:
        await download.run(manifest["files"], order["urls"])
    except Spoiled as error:
        if update.record["spoils"] + 1 < machine.MAX_TRIES:
            return "spoiled", {}
        return "failed", {"reason": "download: %s" % error}
    except FetchError as error:
        return "failed", {"reason": "download: %s" % error}
    except OSError as error:
        return "broken", {"reason": "flash: %s" % error}
    return "fetched", {}


def _detail(accepted: "Order") -> "Detail":
    """What machine.take keeps of an accepted order."""
    order, manifest, digest = accepted
    return {
        "order": {"epoch": order["epoch"], "seq": order["seq"], "sha256": digest},
        "time": order["issued"],
        "bank": {
            "manifest": order["manifest"],
            "release": manifest["release"],
            "version": clean(manifest["version"]),
            "files": manifest["files"],
            "confirmed": False,
        },
    }
