"""The agent as a library for inference programs.

    with HostAgent.from_config("agent.toml") as agent:
        agent.wait_live("digits")                          # there is none before the first order
        output = agent.run("digits", data)                 # the live model
        agent.observe("digits", labelled=1, correct=1)     # if the right output is known

As a context manager it runs in a thread of its own. A program with an event loop awaits
`agent.run_forever()` in it instead, and cancels it at the end. After an update the next `run`
uses the new model.

The end of the block is a clean stop: a trial goes on with the next start. So is SIGTERM, unless
the program has its own handler: it raises SystemExit(0) in the block. An exception that leaves the
block is none: like a reset, it counts against a model on trial.

What a program passes is checked in its own thread: a wrong argument raises there, and nowhere
else.
"""

import asyncio
import contextlib
import math
import os
import reprlib
import signal
import threading
import weakref
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from modelwave_agent import root_store
from modelwave_agent.backlog import check_late
from modelwave_agent.host import config, given
from modelwave_agent.host.accelerators import EDGETPU
from modelwave_agent.host.assembly import assembled
from modelwave_agent.host.config import AgentConfig
from modelwave_agent.host.handover import Handover
from modelwave_agent.host.lock import locked, showing
from modelwave_agent.host.log import logger
from modelwave_agent.host.program import Program, differ
from modelwave_agent.host.program_hooks import ProgramHooks
from modelwave_agent.host.runtimes.specs import InputError
from modelwave_agent.host.self_update.itself import SelfUpdate
from modelwave_agent.host.shadow import HostShadow
from modelwave_agent.host.shadow_messages import Answer
from modelwave_agent.observations import (
    checked_counts,
    checked_reason,
    checked_sample,
    whole_number,
)
from modelwave_agent.ports import ProofError
from modelwave_agent.record import said
from modelwave_agent.types import Enrolment, Live
from modelwave_agent.update import Update
from modelwave_shared.limits import MAX_EPOCH

if TYPE_CHECKING:
    from modelwave_agent.host.hooks import MayUpdateFunction

ONE_INFERENCE = (1, 0, 0, 0)  # as COUNTS


class AgentStopped(Exception):
    """The agent has ended by an error, which is the cause: nothing is updated or reported any
    more."""


class HostAgent:
    """The agent of one device. Its methods may be called from any thread."""

    def __init__(
        self,
        settings: AgentConfig,
        may_update: "MayUpdateFunction | None" = None,
        runs_models: bool = True,
        itself: SelfUpdate | None = None,
    ) -> None:
        """Locks the state folder, because two agents must not share one. `may_update(upcoming)` is
        called before the download of the release `upcoming` (model, release, version), and again
        before it serves, in a thread of its own, or if it is async in the agent's event loop. It
        returns "", None or True if the update may go on now, else why not, or False: then the
        report says DEFERRED, and it is called again later. `runs_models`: whether the program calls
        `run`; else no release can run beside the live one. `itself`: the update of this agent, if a
        launcher has started it. Raises ConfigError, and ProofError if no runtime is
        installed."""
        self.settings = settings
        self._unlock = weakref.finalize(self, os.close, locked(settings.state))
        root, root_problem = root_store.newest(str(settings.state), settings.root)
        self.device = Enrolment(settings.device, settings.target, root)
        self._news = threading.Condition()  # another model serves, or the agent has ended
        self._hooks = {
            model: ProgramHooks(settings, self._tell, may_update, itself)
            for model in settings.models
        }
        cannot = _no_shadow(settings, runs_models)
        self._shadows = {model: self._shadow(model, cannot) for model in settings.models}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._begun = threading.Event()
        self._failure: BaseException | None = None
        self._failure_told = False
        self._ended = False
        self._heeds_sigterm = False
        self._is_claimed = False  # it was started
        self._is_forked = False  # this is another process than the agent's
        try:
            self._programs = {model: Program(settings.runtime) for model in settings.models}
            self._agent = assembled(
                settings, self.device, root_problem, self._hooks, self._shadows, itself
            )
            self._handover = Handover(self._agent.count)
            self._agent.observations.take = self._handover.take
        except BaseException:
            self._unlock()
            raise
        _AGENTS.add(self)

    def _shadow(self, model: str, cannot: str) -> HostShadow:
        def observe(release: int, answer: Answer) -> None:
            self._agent.observations.add_shadow(model, release, answer)

        settings = self.settings
        return HostShadow(settings.runtime, settings.proof_seconds, cannot, observe)

    @classmethod
    def from_config(cls, path: str | Path, may_update: "MayUpdateFunction | None" = None) -> Self:
        """Makes an agent from an agent.toml. `may_update` and errors: as in __init__; ConfigError
        names the setting."""
        return cls(config.read_config(Path(path)), may_update)

    async def run_forever(self) -> None:
        """Runs the agent in this event loop until it is cancelled. Raises RuntimeError if it was
        started before."""
        self._claim()
        await self._run_in_loop()

    async def _run_in_loop(self) -> None:
        self._loop = self._handover.loop = asyncio.get_running_loop()
        self._begun.set()
        try:
            async with showing(self.settings.state, self.is_connected):
                await self._agent.run()
        except Exception as error:
            self._failure = error
            raise
        finally:
            self._loop = self._handover.loop = None
            self._unlock()
            self._ended = True
            self._tell()

    def check(self) -> None:
        """Raises AgentStopped if the agent has ended by an error. `run` goes on answering with
        the last model then, and logs it once. Like each method, it raises AgentStopped in a
        process that was forked from the agent's: the agent works in its own process only, and
        replaces the files of the models there."""
        if self._is_forked:
            raise AgentStopped(
                "this process was forked from the agent's, where the agent works: make one agent,"
                " in the process that runs the models"
            )
        if self._failure:
            raise AgentStopped(f"the agent has stopped: {said(self._failure)}") from self._failure

    def live(self, model: str) -> Live | None:
        """Returns the live model: release, version, path, labels_path, on_trial. None if there is
        none yet, or if its hash was not yet checked after a restart. Raises ValueError if `model`
        is not in the configuration."""
        live = self._update(model).live()
        return live if self._hooks[model].served else None

    def _update(self, model: str) -> Update:
        if self._is_forked:
            self.check()
        return self._agent.update_of(model)

    def wait_live(self, model: str, timeout: float | None = None) -> Live:
        """Waits until a model is live, and returns it; at once if one is. Before the first order,
        and for a moment after each restart, there is none. `timeout` is in seconds; None waits
        as long as it takes. Raises TimeoutError, which says what is missing, AgentStopped, and
        ValueError if `model` is not in the configuration or `timeout` is no number. It blocks: in
        the event loop of `run_forever` it does not wait; await
        `asyncio.to_thread(agent.wait_live, model)` there."""
        self._update(model)
        seconds = _checked_timeout(timeout)
        with contextlib.suppress(RuntimeError):
            if asyncio.get_running_loop() is self._loop:
                seconds = 0  # else the agent would wait for itself
        with self._news:
            self._news.wait_for(lambda: self._ended or self.live(model), seconds)
        live = self.live(model)
        if live:
            return live
        self.check()
        if self._ended:
            raise AgentStopped("the agent has ended")
        raise TimeoutError(f"{self._nothing_live(model)}, after {seconds:g} seconds")

    def run(self, model: str, data: Any) -> Any:
        """Runs the live model on `data`, and returns its output: bytes for the bytes of the only
        input, an array for an array (a dict of arrays, if the model has several outputs), a dict of
        arrays for a dict of arrays, by name. What it returns is the caller's own. If another model
        went live, it is loaded first. Raises ProofError if there is no model yet, its files cannot
        be read, or it fails; failures count against a model on trial. Wrong arguments raise
        TypeError or ValueError, and count against nothing: an input that the model does not take
        raises InputError, which names it and is a ProofError too."""
        self._update(model)
        data = given.checked(data)
        program = self._programs[model]
        self._tell_failure()
        while True:
            live = self.live(model)
            if live is None:
                raise ProofError(self._nothing_live(model))
            try:
                outputs, latency_ms = program.run(live, data)
            except Exception as error:
                if differ(live, self.live(model)):
                    continue  # another model went live meanwhile, and its files were deleted
                if isinstance(error, InputError):
                    raise InputError(f"data: {error}") from error
                if isinstance(error, OSError):  # no fault of the model
                    raise ProofError(f"{model}: its files cannot be read: {error}") from error
                if isinstance(error, ProofError):
                    told = str(error)
                    self.observe(model, inferences=1, failures=1, release=live.release, reason=told)
                raise
            sample = checked_sample(None, None, latency_ms, None)
            self._handover.give(model, ONE_INFERENCE, live.release, "", sample, None)
            self._shadows[model].offer(data, outputs)
            return given.result(data, outputs)

    def observe(
        self,
        model: str,
        inferences: int = 0,
        failures: int = 0,
        labelled: int = 0,
        correct: int = 0,
        release: int | None = None,
        reason: str = "",
        confidence: float | None = None,
        predicted: int | str | None = None,
        latency_ms: float | None = None,
        metrics: dict[str, Any] | None = None,
        window: int | None = None,
    ) -> None:
        """Adds to the counts of inferences. `run` counts inferences and failures and measures the
        latency itself, so after it pass only the rest; a program that runs the model in another way
        passes all. `release` is the release that ran; None means the one that `run` ran last, else
        the live one. `reason` says why an inference failed; on trial the report has it.

        Of one inference: `confidence` from 0 to 1, the `predicted` class by number or name,
        `latency_ms` in milliseconds, and up to 8 numbers by name in `metrics`. `window` is the
        number of an earlier window, from `window()`: labels of its inferences come late.

        Arguments may be bools and scalars of numpy. Raises TypeError or ValueError, which names the
        argument, and then nothing is counted."""
        update = self._update(model)
        counts = checked_counts((inferences, failures, labelled, correct))
        checked_reason(reason)
        sample = checked_sample(confidence, predicted, latency_ms, metrics)
        if window is not None:
            window = whole_number(window, "window", self.window())
            check_late(window, release, counts, sample)
        if release is None:
            release = self._programs[model].release
        else:
            release = whole_number(release, "release", MAX_EPOCH)
            self._agent.observations.require_room(update.model, release)
        self._handover.give(update.model, counts, release, reason, sample, window)

    def window(self) -> int:
        """Returns the number of the window that inferences are counted in now. Windows are counted
        from 1 at each start of the agent."""
        return self._agent.window()

    def is_connected(self) -> bool:
        """Returns whether the agent is connected to the broker now. An agent that is not serves its
        models all the same, and goes on trying."""
        return self._agent.connected.is_set()

    def update_now(self) -> None:
        """Calls `may_update` at once if it has deferred an update: what held it up is over."""
        loop = self._loop
        if loop:
            with contextlib.suppress(RuntimeError):  # the loop has just ended
                loop.call_soon_threadsafe(self._agent.update_now)

    def journal(self) -> dict[str, Any]:
        """Returns the journal's record of each model: {model: record}."""
        return {model: update.record for model, update in self._agent.updates.items()}

    def __enter__(self) -> Self:
        self._claim()
        if threading.current_thread() is threading.main_thread():
            self._heed_sigterm()
        self._thread = threading.Thread(target=self._in_thread, name="modelwave-agent", daemon=True)
        self._thread.start()
        self._begun.wait()
        if self._failure:
            self._forget_sigterm()
            raise self._failure
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        assert self._thread is not None
        if self._is_forked:
            return  # the block ends here, but not in the agent's process
        # A program that ends by a fault may do so because of the model on trial: that counts.
        self._agent.crashed = not _is_asked_to_end(error)
        with contextlib.suppress(RuntimeError):
            if self._loop:
                self._loop.call_soon_threadsafe(self._handover.take)
                self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()
        self._forget_sigterm()
        if self._failure and kind is None:
            raise self._failure  # the agent failed while the program was running

    def _heed_sigterm(self) -> None:
        """Makes SIGTERM end the `with` block, so that the agent stops in order. A program that has
        its own handler keeps it."""
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _end)
            self._heeds_sigterm = True

    def _forget_sigterm(self) -> None:
        if self._heeds_sigterm:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._heeds_sigterm = False

    def _claim(self) -> None:
        """Raises RuntimeError if the agent was started before: it runs once."""
        if self._is_claimed:
            raise RuntimeError("this agent was started before: make a new one to run it again")
        self._is_claimed = True

    def leave_to_parent(self) -> None:
        """Called in a process that was just forked from the agent's."""
        if self._begun.is_set():
            self._is_forked = True
            self._unlock()  # else the parent's next agent would have to wait for this process

    def _tell(self) -> None:
        """Wakes those who wait for a model."""
        with self._news:
            self._news.notify_all()

    def _tell_failure(self) -> None:
        """Logs once that the agent has ended by an error."""
        if self._failure and not self._failure_told:
            self._failure_told = True
            logger.error(
                "the agent has stopped, its models are no longer updated: %s", said(self._failure)
            )

    def _nothing_live(self, model: str) -> str:
        """Says why there is no live model."""
        update = self._agent.updates[model]
        record, state = update.record, update.record["state"]
        if record["banks"][record["live"]] or not update.ledger.is_loaded:
            told = f"{model}: the files of its release were not verified yet"
        else:
            told = f"{model}: no release is installed yet" + f" ({state})" * (state != "idle")
        reason = [record["reason"]] if record["reason"] else []
        return ": ".join([told, *reason, *update.report.troubles.values()])

    def _in_thread(self) -> None:
        async def main() -> None:
            self._task = asyncio.ensure_future(self._run_in_loop())
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

        try:
            asyncio.run(main())
        except BaseException as error:
            self._failure = error
            raise
        finally:
            self._begun.set()


# All agents of this process.
_AGENTS: "weakref.WeakSet[HostAgent]" = weakref.WeakSet()


def _leave_to_parent() -> None:
    for agent in list(_AGENTS):
        agent.leave_to_parent()


os.register_at_fork(after_in_child=_leave_to_parent)


def _checked_timeout(timeout: Any) -> float | None:
    """Returns a program's `timeout` as seconds that can be waited for. Raises TypeError or
    ValueError, which name it."""
    if timeout is None:
        return None
    try:
        seconds = math.nan if isinstance(timeout, str | bytes) else float(timeout)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if math.isnan(seconds):
        raise ValueError(f"timeout: give seconds, or None, not {reprlib.repr(timeout)}")
    return min(seconds, threading.TIMEOUT_MAX)


def _end(_number: int, _frame: object) -> None:
    raise SystemExit(0)


def _is_asked_to_end(error: BaseException | None) -> bool:
    """Returns whether a program that ends with `error` was asked to: no fault of its own."""
    if isinstance(error, SystemExit):
        return not error.code
    return error is None or isinstance(error, KeyboardInterrupt)


def _no_shadow(settings: AgentConfig, runs_models: bool) -> str:
    """Why no release can run beside the live one on this device; "" if one can."""
    if not settings.shadow:
        return "runtime.shadow is false in this device's agent.toml"
    if not runs_models:
        return "no program runs models through this agent"
    if settings.runtime.accelerator == EDGETPU:
        return "only one process can use an Edge TPU"
    return ""
