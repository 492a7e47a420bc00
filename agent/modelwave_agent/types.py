"""What the parts of the agent hand to one another.

This module imports no part of the agent, so every part can import it.
"""

from modelwave_shared.slots import slot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from modelwave_shared.fields import Document as Document

    # What the journal keeps of one model (record.new_record makes it). It is written as JSON.
    Record = dict[str, Any]
    # What a change of machine.TABLE reads beside the record: an accepted order, or a reason.
    Detail = dict[str, Any]
    # The event that follows from an effect, with its detail. None: nothing follows.
    Next = tuple[str, Detail] | None
    # Awaited between the pieces of long work, so that others can run.
    Breathe = Callable[[], Awaitable[None]]
    # What a hook says is wrong. None and "": nothing is.
    HookAnswer = str | None | Awaitable[str | None]


class Enrolment:
    """What a device was enrolled with: its name, its target, and the root that it trusts."""

    def __init__(self, name: str, target: str, root: "Document") -> None:
        """`root`: the checked root document. The fleet and the slot follow from it."""
        self.name = name
        self.target = target
        self.root = root
        self.fleet: str = root["fleet"]
        self.slot = slot(self.fleet, name)


class AcceptedOrder:
    """An order that has passed all checks."""

    def __init__(self, document: "Document", manifest: "Document", digest: str) -> None:
        """`document`: the checked order. `manifest`: the checked manifest that it names.
        `digest`: sha256 of the order's payload, in hex, which names this very order."""
        self.document = document
        self.manifest = manifest
        self.digest = digest

    @property
    def number(self) -> "tuple[int, int]":
        """(epoch, sequence): of two orders, the one with the higher number is newer."""
        return self.document["epoch"], self.document["seq"]


class Refusal:
    """An authentic order that was not taken: which check it failed, why, and the order."""

    def __init__(self, check: str, reason: str, order: "Document") -> None:
        self.check = check
        self.reason = reason
        self.order = order


class Live:
    """The model that serves: what it is, and where its files are."""

    def __init__(
        self,
        model: str,
        release: int,
        version: str,
        path: str,
        labels_path: "str | None",
        on_trial: bool,
    ) -> None:
        self.model = model
        self.release = release
        self.version = version
        self.path = path
        self.labels_path = labels_path
        self.on_trial = on_trial
