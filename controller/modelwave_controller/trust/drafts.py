"""Drafts of the next root: what an operator changes, and the envelope that root keys sign. Pure.

A draft is an envelope with the next root document and as many signatures as it has so far, also
none. It follows the root of which it was made, which whoever signs needs as well. Each change makes
a document from a document, so several may follow one another; a change drops all signatures, as
they are for other bytes.
"""

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

from modelwave_controller.errors import OperatorError, TrustError
from modelwave_controller.trust import keys, roots
from modelwave_controller.trust.field_types import require
from modelwave_controller.trust.keys import Signer
from modelwave_shared import documents, dsse, fields, roles, schema
from modelwave_shared.errors import DocumentError, advised
from modelwave_shared.limits import MAX_ENVELOPE_BYTES, MAX_SIGNATURES
from modelwave_shared.roots import EXTRA
from modelwave_shared.words import ROOT

ROLES = ("root", "release", "order")
FORMAT = 2  # of a root that follows another
_NONE = b'"signatures":[]}'
_PLACE = b'"signatures":[{"keyid":"00000000","sig":"%s=="}]}' % (b"A" * 86)

Document = dict[str, Any]


class Draft(NamedTuple):
    """The next root: its bytes, its document, and those that have signed."""

    payload: bytes
    document: Document
    signatures: tuple[tuple[str, bytes], ...] = ()

    @property
    def version(self) -> int:
        return version_of(self.document)

    def envelope(self) -> bytes:
        """Returns the bytes of the draft's file; without signatures no device could read them."""
        return bytes(dsse.write(ROOT, self.payload, self.signatures))


class Half(NamedTuple):
    """What one of the two roots asks for: `needed` of its root keys, of which these have signed,
    and these could."""

    version: int
    needed: int
    signed: list[str]
    left: list[str]

    @property
    def lacking(self) -> int:
        return max(0, self.needed - len(self.signed))


def version_of(root: Document) -> int:
    return int(documents.root_version(root))


def next_of(root: Document, now: int) -> Document:
    """Returns the root that follows `root`, without a change yet; `now` is in Unix seconds."""
    document = copy.deepcopy(root)
    document |= {"v": FORMAT, "version": version_of(root) + 1}
    document["extra"] = document.get("extra", {}) | {"issued": now}
    return document


def rotated(
    root: Document, role: str, remove: Sequence[str], add: Sequence[bytes], threshold: int | None
) -> Document:
    """Returns `root` with other keys in a role, in the order in which they were added. Raises
    OperatorError."""
    document, held = copy.deepcopy(root), list(root["roles"][role]["keyids"])
    for keyid in remove:
        if keyid not in held:
            raise OperatorError(f"--remove: {keyid[:64]} is no {role} key; they are {_list(held)}")
        held.remove(keyid)
    for public in add:
        keyid = str(dsse.keyid(public))
        if keyid in held:
            raise OperatorError(f"--add: {keyid} is a {role} key already")
        held.append(keyid)
        document["keys"][keyid] = public.hex()
    if (remove, add, threshold) == ([], [], None):
        raise OperatorError("nothing to change: give --add, --remove or --threshold")
    return _with_role(document, role, held, threshold)


def revoked(root: Document, keyid: str) -> Document:
    """Returns `root` without the key, in no role. Raises OperatorError, also if a role would have
    too few keys for its threshold."""
    if keyid not in root["keys"]:
        raise OperatorError(f"KEYID: the root has no key {keyid[:64]}; see `modelwave key show`")
    document = copy.deepcopy(root)
    for role in ROLES:
        held = list(document["roles"][role]["keyids"])
        if keyid in held:
            held.remove(keyid)
            document = _with_role(document, role, held, None)
    return document


def in_next_epoch(root: Document, before: Document) -> Document:
    """Returns `root` in the epoch after that of the root `before` it."""
    return copy.deepcopy(root) | {"epoch": before["epoch"] + 1}


def with_minimum(root: Document, model: str, release: int) -> Document:
    """Returns `root` with the least release of a model that devices take. Raises OperatorError."""
    require(fields.name, model, "MODEL")
    require(schema.RELEASE, release, "RELEASE")
    return copy.deepcopy(root) | {"minimum": root["minimum"] | {model: release}}


def with_hosts(root: Document, hosts: Sequence[str]) -> Document:
    """Returns `root` with the hosts that files may come from. Raises OperatorError."""
    require(EXTRA["file_hosts"], list(hosts), "HOST")
    document = copy.deepcopy(root)
    document.setdefault("extra", {})["file_hosts"] = list(dict.fromkeys(hosts))
    if not hosts:
        del document["extra"]["file_hosts"]
    return document


def with_expiry(root: Document, expires: int | None) -> Document:
    """Returns `root` with the moment, in Unix seconds, from which devices take no order under it;
    None: never."""
    document = copy.deepcopy(root)
    document.pop("expires", None)
    return document if expires is None else document | {"expires": expires}


def _with_role(document: Document, role: str, keyids: list[str], threshold: int | None) -> Document:
    """Puts the keys into the role of `document`, and drops keys that no role has any more."""
    if threshold is None:
        threshold = document["roles"][role]["threshold"]
    if not 1 <= threshold <= len(keyids):
        raise OperatorError(
            f"the {role} role would have {len(keyids)} keys ({_list(keyids)}) and a threshold of "
            f"{threshold}: add a key in the same step, `modelwave key rotate {role} --remove KEYID "
            "--add PUBLIC.pem`, or give --threshold there"
        )
    document["roles"][role] = {"keyids": keyids, "threshold": threshold}
    used = {keyid for name in ROLES for keyid in document["roles"][name]["keyids"]}
    document["keys"] = {k: public for k, public in document["keys"].items() if k in used}
    return document


def drafted(document: Document) -> Draft:
    """Returns the unsigned draft of a document. Raises OperatorError if devices would refuse it."""
    try:
        documents.check(ROOT, document)
    except DocumentError as error:
        raise OperatorError(f"the root cannot be made: {error}") from error
    draft = Draft(keys.canonical(document), document)
    _require_room(draft)
    return draft


def read(data: bytes, what: str) -> Draft:
    """Reads the draft, or the root, in `data`. It is checked, and its signatures are not. Raises
    TrustError, which names `what`."""
    data = data.removesuffix(b"\n")
    unsigned = data.endswith(_NONE)
    if unsigned:
        data = data.removesuffix(_NONE) + _PLACE
    try:
        envelope = dsse.read(data)
        documents.require_kind(envelope, ROOT)
        document = documents.read(ROOT, envelope.payload)
    except ValueError as error:
        raise TrustError(f"{what}: {advised(error, 'controller')}") from error
    signatures = () if unsigned else tuple(envelope.signatures)
    return Draft(envelope.payload, document, signatures)


def require_next(draft: Draft, root: Document, what: str) -> None:
    """Raises TrustError unless the draft may follow `root`, but for its signatures."""
    new, due = draft.document, version_of(root) + 1
    if new["fleet"] != root["fleet"]:
        raise TrustError(f"{what}: it is for fleet {new['fleet']}, not {root['fleet']}")
    if draft.version != due:
        raise TrustError(
            f"{what}: it is root {draft.version}, and the one after root {due - 1} is {due}: "
            "make the draft again from the newest root"
        )
    if new["epoch"] < root["epoch"]:
        raise TrustError(f"{what}: its epoch is {new['epoch']}, and it was {root['epoch']} already")


def halves(draft: Draft, root: Document) -> tuple[Half, Half]:
    """Returns who has signed for `root` and for the draft itself, by distinct public keys."""
    return _half(root, draft), _half(draft.document, draft)


def _half(root: Document, draft: Draft) -> Half:
    allowed, needed = roles.role_keys(root, ROOT)
    found = roots.counting(root, ROOT, draft.payload, draft.signatures)
    signed = {allowed[keyid]: keyid for keyid in found}
    left = [keyid for keyid, public in allowed.items() if public not in signed]
    return Half(version_of(root), needed, list(signed.values()), left)


def signed(draft: Draft, signers: Sequence[Signer], root: Document) -> Draft:
    """Returns the draft with a signature by each signer. Raises OperatorError for one that is a
    root key neither of `root` nor of the draft, as its signature would count for nothing."""
    message = dsse.signed_bytes(ROOT, draft.payload)
    allowed = [*roles.role_keys(root, ROOT)[0].values()]
    allowed += roles.role_keys(draft.document, ROOT)[0].values()
    found = dict(draft.signatures)
    for signer in signers:
        if signer.public not in allowed:
            raise OperatorError(
                f"--key: {signer.keyid} is no root key, neither of root "
                f"{version_of(root)} nor of root {draft.version}"
            )
        found[signer.keyid] = signer.sign(message)
    if len(found) > MAX_SIGNATURES:
        raise OperatorError(f"--key: more than {MAX_SIGNATURES} signatures; sign with fewer keys")
    made = draft._replace(signatures=tuple(found.items()))
    _require_room(made)
    return made


def _require_room(draft: Draft) -> None:
    try:
        draft.envelope()
    except ValueError as error:
        raise OperatorError(
            f"the root has no room in {MAX_ENVELOPE_BYTES} bytes: {error}; use fewer keys or hosts"
        ) from error


def _list(keyids: Sequence[str]) -> str:
    return ", ".join(keyids) or "none"
