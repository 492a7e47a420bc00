"""The ports: base classes for what the agent's core needs from its platform.

A platform (board/, host/) implements them in subclasses. The base classes define the contract
and do what is the same on each platform. Fakes for tests implement the same classes
(tests/agent/fakes.py). Journal and Banks are ports too; they work on each platform, and have
modules of their own. So is Shadow, which no board has: types.py describes it.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from modelwave_agent.banks import Banks
    from modelwave_agent.intake import Intake
    from modelwave_agent.journal import Journal
    from modelwave_agent.types import (
        Breathe,
        Document,
        Enrolment,
        HookAnswer,
        Live,
        MayAnswer,
        Next,
        Record,
        Shadow,
    )
    from modelwave_agent.upcoming import Upcoming


class LinkLost(Exception):
    """There is no connection to the broker; the message says why."""


class FetchError(Exception):
    """The download failed; the message says why. Trying again may help."""

    def __init__(self, problem: str, retry_after: float = 0) -> None:
        """`retry_after`: seconds that the server asks to be left alone."""
        super().__init__(problem)
        self.retry_after = retry_after


class ProofError(Exception):
    """The model cannot be loaded or run; the message says why."""


class Undecided(Exception):
    """A hook could not find out whether the model on trial is healthy, which says nothing about the
    model; the message says why. Only hooks raise it whose models run on another device than the
    agent: one that does not answer."""

    def __init__(self, problem: str, is_attempt: bool = False) -> None:
        """`is_attempt`: whether the model ran meanwhile. Then this counts like a reset on trial:
        it may be the model that makes the device fall silent."""
        super().__init__(problem)
        self.is_attempt = is_attempt


class BrokerLink:
    """One MQTT connection. `connect` may be called again after LinkLost."""

    via = ""  # the name of the gateway that speaks for this device; "": it speaks for itself

    async def connect(self, will_topic: str, will: bytes) -> None:
        """Connects, with the retained last will `will`; returns when the broker has accepted.
        Raises LinkLost."""
        raise NotImplementedError

    async def subscribe(self, topics: "list[str]") -> None:
        """Subscribes at QoS 1; returns when the broker has acknowledged. Raises LinkLost."""
        raise NotImplementedError

    async def denied(self, topics: "list[str]") -> "list[str]":
        """As `subscribe`, but returns those that the broker denies, and then the connection stands
        all the same."""
        await self.subscribe(topics)
        return []

    async def subscribe_if_allowed(self, topics: "list[str]") -> bool:
        """As `denied`; returns whether the broker allows all of them."""
        return not await self.denied(topics)

    async def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        """Publishes at QoS 1; returns when the broker has acknowledged. Raises LinkLost."""
        raise NotImplementedError

    async def receive(self) -> "tuple[str, bytes]":
        """Waits for the next message; returns (topic, payload). Raises LinkLost."""
        raise NotImplementedError

    async def close(self) -> None:
        """Ends the connection, if there is one; the broker does not send the last will."""

    def turn(self) -> None:
        """Makes the next `connect` try the broker's next address, if it has several."""


class Fetcher:
    """Downloads files. `hosts`: the entries of those that they may come from, as in
    modelwave_shared.file_hosts; None: those of the fleet's root. `enrolment`: the agent sets it;
    its root may be replaced by a newer one."""

    hosts: "Sequence[str] | None" = None
    enrolment: "Enrolment | None" = None

    def allowed(self) -> "Sequence[str]":
        """Returns the entries that count now."""
        if self.hosts is not None:
            return self.hosts
        root = self.enrolment.root if self.enrolment else {}
        listed: "Sequence[str]" = root.get("extra", {}).get("file_hosts", ())
        return listed

    async def fetch(self, url: str, intake: "Intake") -> None:
        """Passes the bytes of `url`, from `intake.offset` on, to `intake.write`. Returns at the
        end of the server's data. Raises FetchError, and what the intake raises, such as
        TooLong."""
        raise NotImplementedError


class Patcher:
    """Applies deltas (modelwave_shared/deltas.py)."""

    reads = 0  # the highest kind of delta that it applies

    async def patch(
        self, kind: int, delta: str, base: str, intake: "Intake", breathe: "Breathe"
    ) -> None:
        """Writes to the intake what the file `delta`, of this kind, makes of the file `base`.
        Raises an Exception of any class if that is not possible."""
        raise NotImplementedError


class Runtime:
    """Loads a model and runs it."""

    name = ""  # as in a manifest's tolerance, e.g. tflite-runtime
    format = ""  # as in a manifest's needs.runtime, e.g. tflite
    version = ""
    accelerator = ""
    # The operators that it has. None: all operators of the format.
    kernels: "list[str] | None" = None

    def load(self, path: str) -> None:
        """Loads the model in the file `path`. Raises ProofError."""
        raise NotImplementedError

    def run(self, data: bytes) -> bytes:
        """Runs the loaded model on the input's bytes; returns the output's bytes. Raises
        ProofError."""
        raise NotImplementedError

    def unload(self) -> None:
        """Frees the memory that `load` has used."""

    def free_ram(self) -> int:
        """Returns the bytes of the largest contiguous piece of memory that a model could get."""
        raise NotImplementedError

    async def prove(
        self, model_path: str, golden_path: str, manifest: "Document", breathe: "Breathe"
    ) -> str:
        """Runs the golden set of the release with this manifest. Returns "" if the model is
        healthy, else what is wrong with it. Raises OSError or MemoryError if this device could
        not find out. `breathe` is awaited between inputs. This method runs the model in this
        process; a host uses a process of its own, as a model may crash or hang."""
        from modelwave_agent.proof import judge_golden

        try:
            self.load(model_path)
            try:
                return await judge_golden(
                    self.run, self.name, golden_path, manifest["tolerance"], breathe
                )
            finally:
                self.unload()
        except ProofError as error:
            return str(error)


class Hooks:
    """Calls of the agent to the program around it. Each may be async or not."""

    def serve(self, live: "Live") -> "HookAnswer":
        """Tells the program that `live` serves from now on; returns "" or what went wrong. May
        raise Undecided."""
        return ""

    def healthy(self, live: "Live") -> "HookAnswer":
        """Asks the program, at the end of the trial, whether the model is healthy; returns "" or
        what is wrong. May raise Undecided."""
        return ""

    def may_update(self, upcoming: "Upcoming") -> "MayAnswer":
        """Asks the program, before the download of `upcoming` and before it serves, whether the
        update may go on now. Returns "", None or True if it may, else why not now, or False. An
        exception counts as a reason, too: nothing is done that the program might not want."""
        return ""


class Clock:
    """The time: `now` measures durations; `wall` is the date, for the expiry of orders."""

    def now(self) -> float:
        """Returns the seconds since some fixed moment; it never goes back."""
        raise NotImplementedError

    def wall(self) -> "int | None":
        """Returns Unix seconds, or None if no clock can be trusted."""
        return None

    def is_synchronised(self) -> bool:
        """Returns whether others keep `wall` right (NTP, GPS), so that it is believed whatever
        was signed. False if `wall` returns None."""
        return False

    async def sleep(self, seconds: float) -> None:
        """Returns after `seconds`. 0 only lets other tasks run."""
        raise NotImplementedError

    async def breathe(self) -> None:
        """Lets other tasks run; long work calls it between its pieces."""
        await self.sleep(0)

    async def wait(self, event: "asyncio.Event", seconds: float) -> bool:
        """Waits for `event`; returns whether it was set within `seconds`."""
        raise NotImplementedError


class Ports:
    """All ports that the update of one model needs."""

    def __init__(
        self,
        journal: "Journal",
        banks: "Banks",
        runtime: Runtime,
        fetcher: Fetcher,
        hooks: Hooks,
        clock: Clock,
        shadow: "Shadow | None" = None,
        patcher: "Patcher | None" = None,
    ) -> None:
        """`shadow`: None if the platform runs no model beside the live one. `patcher`: None if it
        applies no deltas."""
        self.journal = journal
        self.banks = banks
        self.runtime = runtime
        self.fetcher = fetcher
        self.hooks = hooks
        self.clock = clock
        self.shadow = shadow
        self.patcher = patcher

    # Only the update of the agent itself is otherwise in these.

    hands_over = False  # this life of the agent ends so that the next one is the trial

    def woken(self, record: "Record") -> "Next":
        """Returns the event of this reset, with its detail, if the platform knows more of it than
        the journal: it began a trial, or ended one. None: an ordinary reset."""
        return None

    def unusable(self, bank: int) -> str:
        """Returns why a bank cannot serve although its files are those that were signed, or ""."""
        return ""

    def trial(self, wanted: "Document") -> "Document":
        """Returns what a trial takes; `wanted`: what the order asks for."""
        return wanted

    def has(self, bank: int, flash: "int | None" = None, ram: "int | None" = None) -> "Document":
        """Returns what the device has for a release in `bank`, in the form that
        modelwave_shared.fit compares. `flash`, `ram`: None to ask the medium, which may raise
        OSError, and the runtime, which may raise anything."""
        return {
            "flash": self.banks.room(bank) if flash is None else flash,
            "ram": self.runtime.free_ram() if ram is None else ram,
            "runtime": self.runtime.format,
            "runtime_version": self.runtime.version,
            "accelerator": self.runtime.accelerator,
            "kernels": self.runtime.kernels,
        }
