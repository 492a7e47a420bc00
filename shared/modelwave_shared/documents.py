"""Reads, checks and verifies the signed documents. roots.py, manifests.py, orders.py and
heartbeats.py describe their fields.

    root      the keys of the fleet and their roles           signed by 2 of 3 offline root keys
    manifest  one release of a model for one target           signed by the offline release key
    order     the release that slots, or a device, must run   signed by the controller's key
    heartbeat that a device's view of its orders is of now    signed by the controller's key

`read(kind, payload)` parses and checks a document, `check(kind, value)` checks a parsed one.
Both raise ValueError (JsonError, DocumentError) whose message names the field, and
NewerFormatError if only a newer program can read the document. Sizes are in bytes, times in Unix
seconds, shares in parts per million. reports.py has the unsigned documents of devices.
"""

from modelwave_shared import dsse, roles
from modelwave_shared.errors import DocumentError, EnvelopeError
from modelwave_shared.lean import Phase
from modelwave_shared.words import HEARTBEAT, MANIFEST, ROOT, SIGNER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from modelwave_shared.fields import Document
    from modelwave_shared.schema import Kind


PARSING = Phase("modelwave_shared.strict_json")
CHECKING = Phase(
    "modelwave_shared.roots",
    "modelwave_shared.manifests",
    "modelwave_shared.orders",
    "modelwave_shared.heartbeats",
    "modelwave_shared.schema",
    "modelwave_shared.fields",
    "modelwave_shared.file_hosts",
    "modelwave_shared.rules",
)


def read(kind: str, payload: bytes) -> "Document":
    """Returns the checked document in `payload` (bytes). Raises ValueError."""
    with PARSING:
        value = _parsed(payload)
    check(kind, value)
    return value


def _parsed(payload: bytes) -> "Document":
    from modelwave_shared import strict_json

    value: "Document" = strict_json.loads(payload)
    return value


def check(kind: str, value: "Any") -> None:
    """Raises DocumentError if the parsed `value` is not a valid document of `kind`."""
    with CHECKING:
        _described(kind).check(value)


def _described(kind: str) -> "Kind":
    """Returns the description of `kind`, and loads only this one into memory."""
    if kind == ROOT:
        from modelwave_shared.roots import KIND
    elif kind == MANIFEST:
        from modelwave_shared.manifests import KIND
    elif kind == HEARTBEAT:
        from modelwave_shared.heartbeats import KIND
    else:
        from modelwave_shared.orders import KIND
    return KIND


def verify(envelope: dsse.Envelope, root: "Document") -> None:
    """Raises EnvelopeError unless enough keys have signed the document that may sign this kind
    under the checked `root`."""
    keys, threshold = roles.role_keys(root, envelope.kind)
    envelope.verify(keys, threshold)


def require_kind(envelope: dsse.Envelope, kind: str) -> None:
    """Raises EnvelopeError unless the envelope holds a document of `kind`."""
    if envelope.kind != kind:
        words = _with_article(shown_kind(envelope.kind)), _with_article(kind)
        raise EnvelopeError("%s instead of %s" % words)


def open_signed(kind: str, envelope: dsse.Envelope, root: "Document") -> "Document":
    """Verifies `envelope` under the checked `root`, then returns its parsed and checked document.
    Raises ValueError."""
    require_kind(envelope, kind)
    verify(envelope, root)
    return read(kind, envelope.payload)


def open_first_root(data: bytes) -> "Document":
    """Returns the root document that a device is enrolled with. It came by a trusted way, so it
    is verified with its own keys, but must have as many signatures as it requires. Raises
    ValueError."""
    envelope = dsse.read(data)
    require_kind(envelope, ROOT)
    root = read(ROOT, envelope.payload)
    verify(envelope, root)
    return root


def open_next_root(data: bytes, trusted: "Document") -> "Document":
    """Returns the root document in the envelope `data` that follows the checked root `trusted`. As
    in The Update Framework (section 5.3), as many keys as each of the two requires have signed it,
    and no version is left out. Raises ValueError."""
    root: "Document | None" = None
    for step in next_root(data, trusted):
        root = step
    assert root is not None
    return root


def next_root(data: bytes, trusted: "Document") -> "Iterator[Document | None]":
    """Does the same in steps: yields None after each signature, which takes a board a second, and
    the root at the end."""
    envelope = dsse.read(data)
    require_kind(envelope, ROOT)
    for _ in envelope.verifying(*roles.role_keys(trusted, ROOT)):
        yield None
    root = read(ROOT, envelope.payload)
    for _ in envelope.verifying(*roles.role_keys(root, ROOT)):
        yield None
    _check_follows(root, trusted)
    yield root


def _check_follows(root: "Document", trusted: "Document") -> None:
    if root["fleet"] != trusted["fleet"]:
        raise DocumentError("root.fleet", "%s, not %s" % (root["fleet"], trusted["fleet"]))
    due = root_version(trusted) + 1
    if root_version(root) != due:
        raise DocumentError("root.version", "%d, the next one is %d" % (root_version(root), due))
    if root["epoch"] < trusted["epoch"]:
        told = "%d, it was %d already" % (root["epoch"], trusted["epoch"])
        raise DocumentError("root.epoch", told)


def root_version(root: "Document") -> int:
    """Returns the number of a checked root in the chain of roots."""
    version: int = root.get("version", 1)
    return version


def shown_kind(kind: str) -> str:
    return kind if kind in SIGNER else "stranger"


def _with_article(kind: str) -> str:
    return ("an " if kind[0] in "aeiou" else "a ") + kind
