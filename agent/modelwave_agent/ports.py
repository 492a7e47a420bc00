"""What the agent's core asks of the place it runs in: small classes to be filled in.

The bases say what is promised, and do what needs no place. Fakes for tests implement the
same classes (tests/agent/fakes.py). The Journal and the Banks, whose code serves every
place, stand in files of their own.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from modelwave_agent.intake import Intake
    from modelwave_agent.update import Live
    from modelwave_shared.fields import Document

    Breathe = Callable[[], Awaitable[None]]
    HookAnswer = str | None | Awaitable[str | None]  # what is wrong; None or "": nothing is


class LinkLost(Exception):
    """The broker cannot be reached, or no longer; the message says why."""


class FetchError(Exception):
    """The bytes did not come; the message says why. Trying again may help."""


class ProofError(Exception):
    """The model cannot be loaded or run; the message says why."""


class Link:
    """One MQTT connection. `connect` may be called again after LinkLost."""

    async def connect(self, will_topic: str, will: bytes) -> None:
        """Returns when the broker has accepted; `will` is retained there. LinkLost."""
        raise NotImplementedError

    async def subscribe(self, topics: "list[str]") -> None:
        """Returns when the broker has acknowledged. LinkLost."""
        raise NotImplementedError

    async def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        """At QoS 1; returns when the broker has acknowledged. LinkLost."""
        raise NotImplementedError

    async def receive(self) -> "tuple[str, bytes]":
        """The next (topic, payload). LinkLost."""
        raise NotImplementedError

    async def close(self) -> None:
        """Ends the connection, if there is one, without the last will."""


class Fetcher:
    """Brings files."""

    async def fetch(self, url: str, intake: "Intake") -> None:
        """Feeds `intake.write` (intake.Intake) the bytes of `url` from `intake.offset` on.
        Returns at the end of what the server sends; the intake refuses a byte too many.
        FetchError, and whatever the intake raises."""
        raise NotImplementedError


class Runtime:
    """Loads a model and runs it."""

    name = ""  # as in a manifest's tolerance, e.g. tflite-runtime
    format = ""  # as in a manifest's needs.runtime, e.g. tflite
    version = ""
    accelerator = ""
    kernels: "list[str] | None" = None  # the operators that are there; None: all of the format's

    def load(self, path: str) -> None:
        """ProofError."""
        raise NotImplementedError

    def run(self, data: bytes) -> bytes:
        """The output's bytes for the input's. ProofError."""
        raise NotImplementedError

    def unload(self) -> None:
        """Frees what `load` took."""

    def free_ram(self) -> int:
        """Bytes of the largest piece of memory that a model could get."""
        raise NotImplementedError

    async def prove(
        self, model_path: str, golden_path: str, tolerance: "Document", breathe: "Breathe"
    ) -> str:
        """Runs the golden set. "" if the model is healthy, else what is wrong with it;
        OSError and MemoryError where this device could not tell. `breathe` is awaited
        between inputs. This one runs it in place; a host does so in a process of its own,
        which may crash or hang."""
        from modelwave_agent.proof import proven

        return await proven(self, model_path, golden_path, tolerance, breathe)


class Hooks:
    """What the world around the agent wants to know, or decides. Each may be async or not."""

    def serve(self, live: "Live") -> "HookAnswer":
        """`live` (update.Live) serves from now on. "" or what went wrong."""
        return ""

    def healthy(self, live: "Live") -> "HookAnswer":
        """Asked on trial, before the model is confirmed. "" or what is wrong."""
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
        raise NotImplementedError

    async def wait(self, event: "asyncio.Event", seconds: float) -> bool:
        """Whether `event` (asyncio.Event) was set within `seconds`."""
        raise NotImplementedError
