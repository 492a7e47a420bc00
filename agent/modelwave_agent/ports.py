"""What the agent's core asks of the place it runs in: small classes to be filled in.

The base classes say what is promised, and do what needs no place. Fakes for tests implement
the same classes (tests/agent/fakes.py). The Journal and the Banks are ports too; their code
serves every place, and stands in files of its own.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio

    from modelwave_agent.banks import Banks
    from modelwave_agent.intake import Intake
    from modelwave_agent.journal import Journal
    from modelwave_agent.types import Breathe, Document, HookAnswer, Live


class LinkLost(Exception):
    """The broker cannot be reached, or no longer; the message says why."""


class FetchError(Exception):
    """The bytes did not come; the message says why. Trying again may help."""


class ProofError(Exception):
    """The model cannot be loaded or run; the message says why."""


class BrokerLink:
    """One MQTT connection. `connect` may be called again after LinkLost."""

    async def connect(self, will_topic: str, will: bytes) -> None:
        """Returns when the broker has accepted; `will` is retained there. Raises LinkLost."""
        raise NotImplementedError

    async def subscribe(self, topics: "list[str]") -> None:
        """Returns when the broker has acknowledged. Raises LinkLost."""
        raise NotImplementedError

    async def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        """Publishes at QoS 1; returns when the broker has acknowledged. Raises LinkLost."""
        raise NotImplementedError

    async def receive(self) -> "tuple[str, bytes]":
        """The next (topic, payload). Raises LinkLost."""
        raise NotImplementedError

    async def close(self) -> None:
        """Ends the connection, if there is one, without the last will."""


class Fetcher:
    """Brings files."""

    async def fetch(self, url: str, intake: "Intake") -> None:
        """Feeds `intake.write` the bytes of `url` from `intake.offset` on. Returns at the end
        of what the server sends; the intake refuses a byte too many. Raises FetchError, and
        whatever the intake raises."""
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
        """Frees what `load` took."""

    def free_ram(self) -> int:
        """Bytes of the largest piece of memory that a model could get."""
        raise NotImplementedError

    async def prove(
        self, model_path: str, golden_path: str, tolerance: "Document", breathe: "Breathe"
    ) -> str:
        """Runs the golden set; "" if the model is healthy, else what is wrong with it. Raises
        OSError or MemoryError where this device could not tell. `breathe` is awaited between
        inputs. This one runs the model in place; a host does it in a process of its own,
        which may crash or hang."""
        from modelwave_agent.proof import judge_golden

        try:
            self.load(model_path)
            try:
                return await judge_golden(self.run, self.name, golden_path, tolerance, breathe)
            finally:
                self.unload()
        except ProofError as error:
            return str(error)


class Hooks:
    """What the world around the agent wants to know, or decides. Each may be async or not."""

    def serve(self, live: "Live") -> "HookAnswer":
        """Called when `live` serves from now on; returns "" or what went wrong."""
        return ""

    def healthy(self, live: "Live") -> "HookAnswer":
        """Called on trial, before the model is confirmed; returns "" or what is wrong."""
        return ""


class Clock:
    """`now` is for spans, `wall` for expiry where a clock can be trusted."""

    def now(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        raise NotImplementedError

    def wall(self) -> "int | None":
        """Unix seconds, or None where nothing keeps the time over a reset."""
        return None

    async def sleep(self, seconds: float) -> None:
        """Returns after so many seconds. With 0 it only lets others run."""
        raise NotImplementedError

    async def breathe(self) -> None:
        """Lets others run, between two pieces of long work."""
        await self.sleep(0)

    async def wait(self, event: "asyncio.Event", seconds: float) -> bool:
        """Whether `event` was set within `seconds`."""
        raise NotImplementedError


class Ports:
    """All that one model's update needs of its place."""

    def __init__(
        self,
        journal: "Journal",
        banks: "Banks",
        runtime: Runtime,
        fetcher: Fetcher,
        hooks: Hooks,
        clock: Clock,
    ) -> None:
        self.journal = journal
        self.banks = banks
        self.runtime = runtime
        self.fetcher = fetcher
        self.hooks = hooks
        self.clock = clock

    def has(self, bank: int) -> "Document":
        """What a release in `bank` can be given here, as modelwave_shared.fit compares it."""
        return {
            "flash": self.banks.room(bank),
            "ram": self.runtime.free_ram(),
            "runtime": self.runtime.format,
            "runtime_version": self.runtime.version,
            "accelerator": self.runtime.accelerator,
            "kernels": self.runtime.kernels,
        }
