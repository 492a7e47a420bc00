"""The agent: runs the connection, the report and the updates of all models of a device."""

import asyncio
import json
import random

from modelwave_agent import required_topics
from modelwave_agent.echo import DENIED, Echo
from modelwave_agent.freshness import View
from modelwave_agent.numbering import Numbering
from modelwave_agent.observations import (
    Observations,
    checked_counts,
    checked_reason,
    checked_sample,
    whole_number,
)
from modelwave_agent.optional_topics import OptionalTopic
from modelwave_agent.ports import LinkLost
from modelwave_agent.record import clean
from modelwave_shared import topics
from modelwave_shared.limits import MAX_EPOCH, MAX_NAME
from modelwave_shared.version import described
from modelwave_shared.words import PROGRAM, READS, READS_DELTAS, SIGNER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from modelwave_agent.journal import Journal
    from modelwave_agent.measures import Sample
    from modelwave_agent.ports import BrokerLink, Clock
    from modelwave_agent.root_walk import RootWalk
    from modelwave_agent.types import Document, Enrolment
    from modelwave_agent.update import Update

    Listener = Callable[[bytes], None]

# The report is repeated, in case one was lost: soon after a change, then more and more rarely.
REPEAT_SECONDS = (60, 120, 240, 480, 900)
JITTER = 0.2
RECONNECT_SECONDS = (1, 2, 4, 8, 15, 30, 60)
STEADY_SECONDS = 60  # after a connection of this length the pauses start from the shortest
AGAIN_SECONDS = 60  # between two attempts to judge a refused order again


class Agent:
    """The agent of one device, for all its models. To cancel `run` is a clean stop: it does not
    count as a reset against a trial."""

    def __init__(
        self,
        device: "Enrolment",
        updates: "dict[str, Update]",
        link: "BrokerLink",
        clock: "Clock",
        boots: "Journal",
        walk: "RootWalk",
        metrics_seconds: float = 900,
        listeners: "dict[str, Listener] | None" = None,
        version: "str | None" = None,
        report_key: bytes = b"",
    ) -> None:
        """`updates`: {model: Update}; `boots`: the device's own Journal, which counts its
        resets; `walk`: takes new roots of trust; `listeners`: {topic: function that gets the
        payloads}, besides the topics of orders; `version`: the program's version in reports, if
        the one of version.py is not exact enough; `report_key`: proves reports and windows
        (proofs.py), b"" if there is none."""
        self.device = device
        self.updates = updates
        self.link = link
        self.clock = clock
        self.metrics_seconds = metrics_seconds
        self.presence = topics.presence(device.fleet, device.name)
        self.numbering = Numbering(boots, clock)
        self.walk = walk
        self.crashed = False  # the program ends by a fault of its own: no clean stop
        self.connected = asyncio.Event()
        self.changed = asyncio.Event()
        self.observations = Observations(metrics_seconds, clock.now())
        self.desired = self._desired()
        self._outdated: "list[Update]" = []  # whose orders were judged under another root
        self.listeners = listeners or {}
        self.heartbeat = topics.heartbeat(device.fleet, device.name)
        self.view = View(device, updates, clock)
        self.version = version or described()
        self.reported = topics.reported(device.fleet, device.name)
        self.echo = Echo()
        self.optional = (
            OptionalTopic(self.heartbeat, self.view.heard),
            OptionalTopic(self.reported, self._echo_answered),
        )
        self._report_key = report_key
        for update in updates.values():
            update.report.changed = self.changed.set

    async def run(self) -> None:
        """Runs until it is cancelled. An unexpected error in one task ends all of them: a device
        that is connected but sends no reports would be worse."""
        for update in self.updates.values():
            update.work.boot()
        work = (self._stay_connected(), self._report(), self._measure(), self._ask_again())
        tasks = [asyncio.create_task(one) for one in work]
        is_clean = False
        try:
            await asyncio.gather(*tasks)
        except asyncio.CancelledError:
            is_clean = not self.crashed
            raise
        finally:
            for task in tasks:
                task.cancel()
            for update in self.updates.values():
                await (update.work.stop_cleanly() if is_clean else update.work.stop())
            await self._leave()

    def observe(
        self,
        model: str,
        inferences: "int | None" = None,
        failures: int = 0,
        labelled: int = 0,
        correct: int = 0,
        release: "int | None" = None,
        reason: str = "",
        confidence: "float | None" = None,
        predicted: "int | str | None" = None,
        latency_ms: "float | None" = None,
        metrics: "dict[str, Any] | None" = None,
        window: "int | None" = None,
    ) -> None:
        """Counts inferences of the program. `inferences`: None is 1, or 0 with `window`.
        `release`: the release that they ran, None for the live one; the program may still have
        run an older one. `reason`: why the last of the failures failed.

        Of one inference: `confidence` from 0 to 1, the `predicted` class by number or name,
        `latency_ms` in milliseconds, and up to 8 numbers by name in `metrics`. `window`: labels
        come late, for inferences of the window with this number (see `window`).

        Raises TypeError or ValueError, which names the argument, and then nothing is counted."""
        update = self.update_of(model)
        if inferences is None:
            inferences = 1 if window is None else 0
        counts = checked_counts((inferences, failures, labelled, correct))
        checked_reason(reason)
        sample = checked_sample(confidence, predicted, latency_ms, metrics)
        if window is not None:
            from modelwave_agent.backlog import check_late

            window = whole_number(window, "window", self.observations.number)
            check_late(window, release, counts, sample)
        if release is not None:
            release = whole_number(release, "release", MAX_EPOCH)
        self.count(update.model, counts, release, reason, sample, window)

    def count(
        self,
        model: str,
        counts: "list[int]",
        release: "int | None",
        reason: str,
        sample: "Sample | None",
        window: "int | None",
    ) -> None:
        """As `observe`, with arguments that were checked."""
        update = self.updates[model]
        if release is None:
            live = update.live()
            release = live.release if live else 0
        if window is not None:
            return self.observations.add_late(model, release, counts, window)
        if sample:
            sample.limit(update.record["banks"], release)
        self.observations.add(model, release, counts, sample)
        update.observe(release, counts[0], counts[1], reason)

    def window(self) -> int:
        """Returns the number of the open window, which `observe` takes with labels that come
        later. Windows are counted from 1 at each start of the agent."""
        return self.observations.number

    def update_now(self) -> None:
        """Asks the program at once whether an update that it has deferred may go on now, and does
        not wait for the next time to ask."""
        for update in self.updates.values():
            update.work.progress.update_now.set()

    def update_of(self, model: str) -> "Update":
        """The update of `model`. Raises ValueError if this device has no such model."""
        if not isinstance(model, str) or model not in self.updates:
            known = ", ".join(sorted(self.updates))
            shown = repr(model[:MAX_NAME]) if isinstance(model, str) else type(model).__name__
            raise ValueError("model: %s is none of this device's, which are %s" % (shown, known))
        return self.updates[model]

    # The connection.

    async def _stay_connected(self) -> None:
        failures = 0
        while True:
            start = self.clock.now()
            try:
                await self._connect()
                while True:
                    await self._dispatch(*await self.link.receive())
            except (LinkLost, MemoryError):
                # Two devices with the same name disconnect each other: the pauses must grow.
                if self.connected.is_set() and self.clock.now() - start > STEADY_SECONDS:
                    failures = 0  # the address that has served is tried again first
                else:
                    failures += 1
                    self.link.turn()
                self.connected.clear()
                pause = RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)]
                await self.clock.sleep(_jittered(pause))

    async def _connect(self) -> None:
        await self.link.connect(self.presence, b"offline")
        await self.link.publish(self.presence, b"online", True)
        await self._begin_anew()
        await self._subscribe()
        self.echo.connected(False)  # until its topic is granted
        for topic in self.optional:
            await topic.subscribe(self.link, self.clock)
        self.connected.set()
        self.changed.set()

    async def _subscribe(self) -> None:
        """What is retained comes with it, each time. The next root comes first: the orders may be
        signed by its keys."""
        wanted = [self.walk.topic()] + list(self.desired) + list(self.listeners)
        await required_topics.subscribe(self.link, self.clock, wanted)

    def _echo_answered(self, is_granted: bool) -> None:
        self.echo.connected(is_granted)
        if not is_granted:
            self.note(DENIED)

    def note(self, problem: str) -> None:
        """Tells the host's log of a problem with the broker, "" when it is over."""

    async def _leave(self) -> None:
        """Publishes "offline": a broker sends the last will only if the connection breaks."""
        if self.connected.is_set():
            try:
                await self.link.publish(self.presence, b"offline", True)
            except LinkLost:
                pass
        await self.link.close()

    def _desired(self) -> "dict[str, str]":
        """Returns {topic: model} of all topics with orders for this device."""
        device, found = self.device, {}
        for model in self.updates:
            slot = topics.desired_slot(device.fleet, device.target, model, device.slot)
            found[slot] = model
            found[topics.desired_all(device.fleet, device.target, model)] = model
            found[topics.desired_device(device.fleet, device.name, model)] = model
        return found

    async def _dispatch(self, topic: str, payload: bytes) -> None:
        if topic in self.listeners:
            self.listeners[topic](payload)
            return
        if topic == self.reported:
            if self.echo.came(payload):
                self._note_echo()
            return
        if topic == self.walk.topic():
            return await self._take_root(payload)
        if topic == self.heartbeat:
            if await self.view.take(payload):
                self.changed.set()
            return
        model = self.desired.get(topic)
        # An empty payload means that the topic was cleared: there is no order.
        if model is not None and payload:
            await self.updates[model].consider(payload)

    async def _take_root(self, message: bytes) -> None:
        """Takes the next root, if `message` is it. All orders are then judged anew: it may trust
        other keys. What serves goes on serving, whoever has signed it."""
        problem = self.walk.problem
        is_taken = await self.walk.take(message)
        if is_taken or self.walk.problem != problem:
            self.changed.set()
        if is_taken:
            self._outdated = list(self.updates.values())
            await self._begin_anew()
            await self._subscribe()

    async def _begin_anew(self) -> None:
        """Lets the models begin anew that have not done so under the present root: memory may have
        run out."""
        while self._outdated:
            await self._outdated[-1].begin_anew()
            self._outdated.pop()

    async def _ask_again(self) -> None:
        """Judges refused orders again: an order may fit later, when there is space on the disk or
        the clock is set, and the broker does not send it again. Looks whether one is missing."""
        while True:
            await self.clock.sleep(AGAIN_SECONDS)
            if self.numbering.trouble:
                self.numbering.count_boot()
                if not self.numbering.trouble:
                    self.changed.set()
            is_missing, self.walk.missed = self.walk.missed, False
            for update in self.updates.values():
                await update.consider_again()
                is_missing = update.heal() or is_missing
            connected = self.connected.is_set()
            if self.view.look(connected):
                self.changed.set()
            if self.echo.look(self.clock.now()):
                self._note_echo()
            if self.echo.is_deaf(self.clock.now()):
                self.link.turn()
                await self.link.close()
            if connected:
                await self._ask_for_optional()
            if connected and (is_missing or self.view.seeks):
                self.view.seeks = False
                await self._ask_for_orders()

    def _note_echo(self) -> None:
        self.note(self.echo.trouble)
        self.changed.set()

    async def _ask_for_optional(self) -> None:
        try:
            for topic in self.optional:
                await topic.ask_again(self.link, self.clock)
        except LinkLost:
            pass  # the next connection asks

    async def _ask_for_orders(self) -> None:
        try:
            await self._subscribe()
        except LinkLost:
            pass  # the next connection asks

    # The report.

    async def _report(self) -> None:
        repeats = 0
        while True:
            await self.connected.wait()
            pause = REPEAT_SECONDS[min(repeats, len(REPEAT_SECONDS) - 1)]
            if await self.clock.wait(self.changed, _jittered(pause)):
                self.changed.clear()
                repeats = 0
            else:
                repeats += 1
            try:
                if repeats:  # a broker that lost the report has lost the presence too
                    await self.link.publish(self.presence, b"online", True)
                payload = self._sealed(self.reported, self.state())
                self.echo.sends(payload)
                await self.link.publish(self.reported, payload, True)
                self.echo.acknowledged(self.clock.now())
            except (LinkLost, MemoryError):
                pass  # it is sent again later, or as soon as there is a new connection

    def said(self) -> str:
        """Returns what this agent says that it is."""
        return "%s %s" % (PROGRAM, self.version)

    def state(self) -> "Document":
        """Returns the report document."""
        updates = list(self.updates.values())
        has = [update.has() for update in updates]
        notes = [self.numbering.trouble, self.walk.problem, self.echo.trouble]
        notes += [note for update in updates for note in update.report.notes()]
        notes += self.view.notes()
        document = self.numbering.numbered()
        reads = {kind: READS[kind] for kind in SIGNER}
        patcher = updates[0].ports.patcher
        if patcher and patcher.reads:
            reads[READS_DELTAS] = patcher.reads
        document.update(
            {
                "target": self.device.target,
                "agent": self.said(),
                "reads": reads,
                "free": {
                    "flash": min(room["flash"] for room in has),
                    "ram": min(room["ram"] for room in has),
                },
                "runtime": has[0]["runtime"],
                "runtime_version": has[0]["runtime_version"],
                "accelerator": has[0]["accelerator"],
                "refused": clean("; ".join(note for note in notes if note)),
                "models": {update.model: update.state() for update in updates},
                "extra": {"root": self.device.root_version},
            }
        )
        document["extra"].update(self.view.extra())
        if self.link.via:
            document["extra"]["via"] = self.link.via
        return document

    def _sealed(self, topic: str, document: "Document") -> bytes:
        """Returns the payload of a document for `topic`, with its proof if there is a key."""
        payload = json.dumps(document).encode()
        if not self._report_key:
            return payload
        from modelwave_shared.proofs import sealed  # in memory only on devices with a key

        return sealed(self._report_key, topic, payload)

    # The observations.

    async def _measure(self) -> None:
        while True:
            await self.clock.sleep(self.metrics_seconds)
            self.observations.close(self.clock.now())
            await self._send_windows()

    async def _send_windows(self) -> None:
        """Sends the windows that wait, if there is a connection."""
        if not self.connected.is_set():
            return
        observations = self.observations
        topic = topics.metrics(self.device.fleet, self.device.name)
        try:
            document = observations.next(self.numbering.numbered, self.clock.now())
            while document:
                await self.link.publish(topic, self._sealed(topic, document), False)
                observations.sent()
                document = observations.next(self.numbering.numbered, self.clock.now())
        except (LinkLost, MemoryError):
            pass  # sent again under the same number, so that it counts once


def _jittered(seconds: float) -> float:
    return seconds * (1 + JITTER * (2 * random.random() - 1))
