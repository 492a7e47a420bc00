"""Describes a kind of document: its fields, and the conditions between them.

roots.py, manifests.py, orders.py and heartbeats.py describe the signed documents, reports.py those
of devices.
Every kind may also have
    v       its format version; 1 if it is absent. It is checked before all other fields, as a
            newer format may have other fields.
    extra   an object that a reader may ignore if it does not know its content
All other unknown fields are refused (docs/documents.md).
"""

from modelwave_shared.errors import DocumentError, NewerFormatError
from modelwave_shared.fields import extra, name, sha256, token
from modelwave_shared.limits import MAX_EPOCH, MAX_SEQ
from modelwave_shared.rules import Integer, Object
from modelwave_shared.words import READS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from modelwave_shared.fields import Document
    from modelwave_shared.rules import Rule

COUNT = Integer(0, MAX_SEQ)
EPOCH = Integer(0, MAX_EPOCH)
FORMAT_VERSION = Integer(1, MAX_EPOCH)
RELEASE = Integer(1, MAX_EPOCH)


class Kind:
    """A kind of document: {field: rule} and a check between fields."""

    def __init__(
        self,
        kind: str,
        fields: "dict[str, Rule]",
        optional: "dict[str, Rule] | None" = None,
        between: "Callable[[Document], None] | None" = None,
    ) -> None:
        """`between` raises DocumentError if fields that are valid alone contradict each other."""
        self.kind = kind
        self.rule = Object(fields, {"v": FORMAT_VERSION, "extra": extra})
        self.rule.optional.update(optional or {})
        self.between = between

    def check(self, value: "Any") -> None:
        """Raises DocumentError if the parsed `value` is not a valid document of this kind."""
        if type(value) is dict and "v" in value:
            FORMAT_VERSION(value["v"], self.kind + ".v")
            if value["v"] > READS[self.kind]:
                raise NewerFormatError(self.kind + ".v", "%d is a newer format" % value["v"])
        self.rule(value, self.kind)
        if self.between:
            self.between(value)


def token_or_empty(value: "Any", where: str) -> None:
    if value != "":
        token(value, where)


def sha256_or_empty(value: "Any", where: str) -> None:
    if value != "":
        sha256(value, where)


def target(value: "Any", where: str) -> None:
    name(value, where)
    if value == "device":
        raise DocumentError(where, '"device" is no target: it names a branch of the topics')
