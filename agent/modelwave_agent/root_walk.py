"""Walks the chain of roots: takes the root that follows the trusted one, then the one after it.

The broker retains each root under its version. A device waits for the next version only: a board
has no memory for a chain. A root is verified, stored durably, and only then trusted; one that is
refused is told in the report once, and changes nothing. After it none is judged for JUDGE_SECONDS,
as strangers may send many, and each takes a board seconds. A new root may trust other keys, so the
agent then judges all orders anew (runner.py).
"""

from modelwave_agent.inbox import JUDGING
from modelwave_agent.record import clean, said
from modelwave_shared import topics
from modelwave_shared.digests import hexdigest
from modelwave_shared.errors import advised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.ports import Clock
    from modelwave_agent.types import Document, Enrolment

JUDGE_SECONDS = 60  # from a root that was refused to the next one that is judged


class RootWalk:
    def __init__(self, device: "Enrolment", folder: str, clock: "Clock", problem: str = "") -> None:
        """`folder`: where root_store.py keeps the roots. `problem`: what it says of the stored
        one."""
        self.device = device
        self.folder = folder
        self.clock = clock
        self.problem = problem  # what the report says
        self.missed = False  # a root could not be judged or stored: it is to be asked for again
        self._refused = ""  # the digest of the last message that was refused for good
        self._judges_at = clock.now()

    def topic(self) -> str:
        """Returns the topic of the root that comes next."""
        return topics.root(self.device.fleet, self.device.root_version + 1)

    async def take(self, message: bytes) -> bool:
        """Whether the root in `message` (bytes on the topic) is trusted from now on. An empty
        message means that the topic was cleared."""
        digest = hexdigest(message)
        if digest == self._refused:
            return False
        if not message:
            self.problem = self._refused = ""
            return False
        if self.clock.now() < self._judges_at:
            self.missed = True
            return False
        self.problem = self._refused = ""
        try:
            with JUDGING:
                root = await self._stored(message)
        except ValueError as error:
            self._refused = digest
            self._judges_at = self.clock.now() + JUDGE_SECONDS
            self._tell(advised(error, "agent"))
            return False
        except (OSError, MemoryError) as error:
            self.missed = True
            self._tell(said(error))
            return False
        self.device.root = root
        return True

    async def _stored(self, message: bytes) -> "Document":
        """Verifies the root and stores it."""
        from modelwave_agent import root_store
        from modelwave_shared import documents

        root: "Document | None" = None
        for step in documents.next_root(message, self.device.root):
            root = step
            await self.clock.breathe()
        assert root is not None
        root_store.write(self.folder, message)
        return root

    def _tell(self, problem: str) -> None:
        self.problem = clean("root %d: %s" % (self.device.root_version + 1, problem))
