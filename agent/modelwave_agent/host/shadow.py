"""Runs a candidate beside the live model of a host's program, before it ever answers.

`HostAgent.run` offers each of its inputs with the live model's output. A drawn share of them waits
for the candidate's process (shadow_process.py), which a thread asks one after the other. The live
answer never waits for it: an input that comes while enough others wait is missed, and counted.
"""

import asyncio
import contextlib
import itertools
import queue
import random
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from modelwave_agent.host.memory import available_bytes
from modelwave_agent.host.runtimes.port import RuntimeSettings
from modelwave_agent.host.shadow_messages import Answer
from modelwave_agent.host.shadow_process import (
    END_SECONDS,
    ShadowEnded,
    ShadowProcess,
    ShadowSettings,
    ShadowStopped,
)
from modelwave_agent.host.shadow_tally import Tally
from modelwave_agent.record import said
from modelwave_agent.types import AcceptedOrder
from modelwave_shared.limits import MAX_TENSOR_BYTES, MILLION

if TYPE_CHECKING:
    from modelwave_agent.host.given import Arrays, Given

MAX_WAITING = 4  # inputs
MAX_WAITING_BYTES = MAX_TENSOR_BYTES  # of all of them; one may always wait
PAUSE_SECONDS = 0.01  # after each run: no more than 100 a second take time from the program
IDLE_SECONDS = 1.0  # between two looks at a process that has nothing to do
LASTED_SECONDS = 600  # between two records of the time that it has run


class HostShadow:
    """The shadows of one model (the port Shadow of types.py), one at a time."""

    def __init__(
        self,
        runtime: RuntimeSettings,
        answer_seconds: float,
        cannot: str,
        observe: Callable[[int, Answer], None],
    ) -> None:
        """`answer_seconds`: after which a model that has not answered hangs. `cannot`: why this
        device runs no shadow, "" if it does. `observe`: called with the release and each run, in
        the agent's event loop."""
        self.runtime = runtime
        self.answer_seconds = answer_seconds
        self.cannot = cannot
        self.observe = observe
        self._worker: _Worker | None = None

    def problem(self, budget: Any) -> str:
        needed, free = budget["ram"], available_bytes()
        if not self.cannot and free < needed:
            return f"ram: {needed - free} bytes missing (needs {needed}, has {free})"
        return self.cannot

    def offer(self, given: "Given", outputs: "Arrays") -> None:
        """Takes what the program gave to the live model, and its outputs; copies them, if they are
        drawn. It returns at once and raises nothing; any thread may call it."""
        worker = self._worker
        if worker is not None:
            with contextlib.suppress(Exception):
                worker.offer(given, outputs)

    async def run(
        self,
        order: AcceptedOrder,
        path: str,
        before: int,
        lasted: Callable[[int], Awaitable[object]],
    ) -> tuple[str, str]:
        budget = order.extra("shadow")
        settings = ShadowSettings(
            path,
            order.manifest["format"],
            order.manifest.get("loading", {}),
            _tolerance(order),
            self.runtime,
            budget["ram"],
            self.answer_seconds,
        )
        tally = Tally(budget, order.extra("max_failed_ppm") or 0)

        def saw(answer: Answer) -> None:
            self.observe(order.manifest["release"], answer)
            verdict = tally.add(answer)
            if verdict:
                worker.end(*verdict)

        worker = _Worker(settings, budget["share_ppm"], saw)
        try:
            worker.start()
            if await worker.is_loaded():
                self._worker = worker
                await _last(worker.ended, budget["seconds"], before, lasted)
            if worker.ended.done():
                return worker.ended.result()
            return tally.ended(budget["seconds"], worker.missed)
        finally:
            self._worker = None
            await worker.stop()


def _tolerance(order: AcceptedOrder) -> Any:
    """Returns the tolerance by which the candidate's outputs agree with the live ones."""
    from modelwave_agent.host import agreement

    tolerance = order.manifest["tolerance"]
    return agreement.by_classes(tolerance) if order.extra("shadow")["classes"] else tolerance


async def _last(
    ended: "asyncio.Future[Any]",
    seconds: int,
    before: int,
    lasted: Callable[[int], Awaitable[object]],
) -> None:
    """Waits until `ended`, or until the shadow has run for `seconds` in all."""
    loop = asyncio.get_running_loop()
    start = loop.time() - before
    while True:
        left = seconds - (loop.time() - start)
        if left <= 0:
            return
        await asyncio.wait((ended,), timeout=min(left, LASTED_SECONDS))
        if ended.done():
            return
        if left > LASTED_SECONDS:
            await lasted(int(loop.time() - start))


class _Worker:
    """The thread that asks the candidate's process."""

    def __init__(
        self, settings: ShadowSettings, share_ppm: int, saw: Callable[[Answer], None]
    ) -> None:
        """`saw` is called in this event loop with each answer."""
        self.settings = settings
        self.share_ppm = share_ppm
        self.saw = saw
        self.loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[tuple[str, str]] = self.loop.create_future()
        self.missed = 0
        self._loaded = self.loop.create_future()
        self._gone = self.loop.create_future()  # the thread, and with it the process
        self._stopping = threading.Event()
        self._missed = itertools.count(1)
        self._drawn = random.Random()
        # SimpleQueue.put may be interrupted by a signal handler that calls it.
        self._waiting: queue.SimpleQueue[tuple[bytes, ...] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="modelwave-shadow", daemon=True)

    def start(self) -> None:
        """Raises OSError if no thread can be started."""
        try:
            self._thread.start()
        except RuntimeError as error:
            self._gone.set_result(None)
            raise OSError(str(error)) from error

    async def is_loaded(self) -> bool:
        """Waits until the model is loaded, or the process has ended."""
        await asyncio.wait((self._loaded, self.ended), return_when=asyncio.FIRST_COMPLETED)
        return not self.ended.done()

    def offer(self, given: "Given", outputs: "Arrays") -> None:
        if self._drawn.random() * MILLION >= self.share_ppm:
            return
        from modelwave_agent.host import shadow_input

        if not self._has_room(shadow_input.rough_bytes(given, outputs)):
            self.missed = next(self._missed)
            return
        message = shadow_input.packed(given, outputs)
        if self._has_room(sum(map(len, message))):
            self._waiting.put(message)
        else:
            self.missed = next(self._missed)

    def _has_room(self, size: int) -> bool:
        most = min(MAX_WAITING, max(1, MAX_WAITING_BYTES // max(1, size)))
        return self._waiting.qsize() < most

    def end(self, event: str, reason: str) -> None:
        """Ends the shadow with this event; called in the event loop."""
        if not self.ended.done():
            self.ended.set_result((event, reason))

    async def stop(self) -> None:
        """Ends thread and process, and waits for it as long as that mostly takes."""
        self._stopping.set()
        self._waiting.put(None)
        gone, _ = await asyncio.wait((self._gone,), timeout=END_SECONDS)
        if gone and self._thread.ident is not None:
            self._thread.join()  # it has told so as its last act: nothing is left to wait for

    def _work(self) -> None:
        try:
            self._serve()
        except ShadowStopped:
            pass
        except ShadowEnded as error:
            self._tell(self.end, error.event, error.reason)
        except Exception as error:  # the process could not be started, for example
            self._tell(self.end, "stuck", said(error))
        finally:
            self._tell(self._gone.set_result, None)

    def _serve(self) -> None:
        process = ShadowProcess(self.settings, self._stopping)
        try:
            process.load()
            self._tell(self._loaded.set_result, None)
            while not self._stopping.is_set():
                try:
                    message = self._waiting.get(timeout=IDLE_SECONDS)
                except queue.Empty:
                    process.check()
                    continue
                if message is None:
                    return
                self._tell(self.saw, process.ask(message))
                self._stopping.wait(PAUSE_SECONDS)
        finally:
            process.end()

    def _tell(self, call: Callable[..., object], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self.loop.call_soon_threadsafe(call, *arguments)
