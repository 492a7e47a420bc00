"""The agent as a library, for the inference program that it lives in.

    with HostAgent.from_config("agent.toml") as agent:
        output = agent.run("digits", data)                 # the live model
        agent.observe("digits", labelled=1, correct=1)     # if the right answer is known

As a context manager it runs in a thread of its own. A program with an event loop awaits
`agent.run_forever()` there instead.
"""

import asyncio
import contextlib
import fcntl
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from modelwave_agent.banks import Banks
from modelwave_agent.driver import Live
from modelwave_agent.host import config
from modelwave_agent.host.clock import HostClock
from modelwave_agent.host.config import Config, ConfigError
from modelwave_agent.host.hooks import CommandHooks
from modelwave_agent.host.http import HttpFetcher
from modelwave_agent.host.link import PahoLink
from modelwave_agent.host.litert import LiteRT
from modelwave_agent.journal import Journal
from modelwave_agent.ports import ProofError, Runtime
from modelwave_agent.runner import Agent
from modelwave_agent.update import Update
from modelwave_shared.slots import slot


class HostAgent:
    """One device. Its methods may be called from any thread."""

    def __init__(self, settings: Config) -> None:
        """Locks the state folder: two agents must not share one. Raises ConfigError, and
        ProofError where no runtime is installed."""
        self.settings = settings
        self.device = {
            "fleet": settings.root["fleet"],
            "device": settings.device,
            "target": settings.target,
            "slot": slot(settings.root["fleet"], settings.device),
        }
        self._lock = _locked(settings.state)
        self._runtimes: dict[str, _Loaded] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._begun = threading.Event()
        self._failure: BaseException | None = None
        self._agent = self._made()

    @classmethod
    def from_config(cls, path: str | Path) -> Self:
        """Raises ConfigError, which names the setting."""
        return cls(config.read(Path(path)))

    async def run_forever(self) -> None:
        """Runs in this event loop until it is cancelled."""
        self._loop = asyncio.get_running_loop()
        self._begun.set()
        try:
            await self._agent.run()
        finally:
            self._loop = None
            self._lock.close()

    def live(self, model: str) -> Live | None:
        """The model that serves now: release, version, path, labels_path, on_trial. None
        until there is one. KeyError if `model` is not in the configuration."""
        return self._agent.updates[model].live()

    def run(self, model: str, data: bytes) -> bytes:
        """Runs the live model on the input tensor's bytes; the output tensor's. Another
        model that went live meanwhile is loaded first. ProofError if there is none yet or it
        fails, which counts against it on trial."""
        live = self.live(model)
        if live is None:
            raise ProofError(f"{model}: no release has come yet")
        try:
            output = self._loaded(model).run(live, data)
        except ProofError:
            self.observe(model, failures=1, release=live.release)
            raise
        self.observe(model, release=live.release)
        return output

    def observe(
        self,
        model: str,
        inferences: int = 1,
        failures: int = 0,
        labelled: int = 0,
        correct: int = 0,
        release: int | None = None,
    ) -> None:
        """What inferences that the program made came to, `run` not counted again: with
        `inferences=0` only labels are added. `release`: which one ran, if not the live."""
        loop = self._loop
        if loop is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop ended in this moment
            loop.call_soon_threadsafe(
                self._agent.observe, model, inferences, failures, labelled, correct, release
            )

    def journal(self) -> dict[str, Any]:
        """What the journal says of each model: {model: record}."""
        return {model: update.record for model, update in self._agent.updates.items()}

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._in_thread, name="modelwave-agent", daemon=True)
        self._thread.start()
        self._begun.wait()
        if self._failure:
            raise self._failure
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        assert self._thread is not None
        with contextlib.suppress(RuntimeError):
            if self._loop:
                self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()

    def _in_thread(self) -> None:
        async def main() -> None:
            self._task = asyncio.ensure_future(self.run_forever())
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

        try:
            asyncio.run(main())
        except BaseException as error:
            self._failure = error
            raise
        finally:
            self._begun.set()

    def _made(self) -> Agent:
        settings = self.settings
        clock = HostClock()
        fetcher = HttpFetcher(settings.download_ca)
        hooks = CommandHooks(settings.swap, settings.health, settings.hook_seconds)
        runtime = self._new_runtime()
        updates = {}
        for model in settings.models:
            folder = settings.state / model
            folder.mkdir(exist_ok=True)
            updates[model] = Update(
                model,
                self.device,
                settings.root,
                Journal(str(folder), "journal"),
                Banks(str(folder), settings.flash_bytes),
                runtime,
                fetcher,
                hooks,
                clock,
            )
        link = PahoLink(settings.broker, settings.device)
        boots = Journal(str(settings.state), "device")
        return Agent(self.device, updates, link, clock, boots, settings.metrics_seconds)

    def _new_runtime(self) -> Runtime:
        settings = self.settings
        return LiteRT(settings.accelerator, settings.ram_bytes, settings.proof_seconds)

    def _loaded(self, model: str) -> "_Loaded":
        if model not in self._runtimes:
            self._runtimes[model] = _Loaded(self._new_runtime())
        return self._runtimes[model]


class _Loaded:
    """A runtime for the program's own inferences, with whatever went live last."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.loaded: tuple[int, str] | None = None
        self.lock = threading.Lock()

    def run(self, live: Live, data: bytes) -> bytes:
        """ProofError."""
        with self.lock:
            if self.loaded != (live.release, live.path):
                self.loaded = None
                self.runtime.unload()
                self.runtime.load(live.path)
                self.loaded = (live.release, live.path)
            return self.runtime.run(data)


def _locked(state: Path) -> IO[bytes]:
    """The open lock of the state folder, which is made if need be."""
    try:
        state.mkdir(parents=True, exist_ok=True)
        lock = (state / "lock").open("ab")
    except OSError as error:
        raise ConfigError(f"state: {state}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise ConfigError(f"state: {state}: another agent is using it") from error
    return lock
