"""What each signed document holds: its fields, and what must hold between them.

Every kind may also have
    v       its format version; 1 where it is absent. It is checked before all other fields,
            as a newer format may have any.
    extra   what a reader may ignore that does not know it
and nothing else that is unknown here (docs/documents.md).

A device has this module in memory while it judges an order. reports.py describes what devices
say in the same way.
"""

from modelwave_shared import dsse
from modelwave_shared.errors import DocumentError, NewerFormatError
from modelwave_shared.fields import boolean, extra, integer, keyid, name, sha256, text, token, url
from modelwave_shared.limits import (
    MAX_BYTES,
    MAX_DELTAS,
    MAX_EPOCH,
    MAX_FILES,
    MAX_KERNELS,
    MAX_KEYS,
    MAX_MODELS,
    MAX_SEQ,
    MAX_SIGNATURES,
    MAX_SLOT_RANGES,
    MAX_TIME,
    MAX_TRIAL_INFERENCES,
    MAX_TRIAL_SECONDS,
    MAX_URLS,
    SLOTS,
)
from modelwave_shared.roles import public_key
from modelwave_shared.rules import Integer, ListOf, MapOf, Object, OneOf
from modelwave_shared.words import FILE_ROLES, FORMATS, MANIFEST, ORDER, READS, ROOT

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
SIZE = Integer(0, MAX_BYTES)
FILE_SIZE = Integer(1, MAX_BYTES)
TIME = Integer(0, MAX_TIME)
TRIAL_SECONDS = Integer(0, MAX_TRIAL_SECONDS)
TRIAL_INFERENCES = Integer(0, MAX_TRIAL_INFERENCES)


class Kind:
    """A kind of document. Its fields are rules, by name."""

    def __init__(
        self,
        kind: str,
        fields: "dict[str, Rule]",
        optional: "dict[str, Rule] | None" = None,
        between: "Callable[[Document], None] | None" = None,
    ) -> None:
        """`between` raises DocumentError unless the fields, each good by itself, agree."""
        self.kind = kind
        self.rule = Object(fields, {"v": FORMAT_VERSION, "extra": extra})
        self.rule.optional.update(optional or {})
        self.between = between

    def check(self, value: "Any") -> None:
        """Raises DocumentError if the parsed `value` is no such document."""
        if type(value) is dict and "v" in value:
            FORMAT_VERSION(value["v"], self.kind + ".v")
            if value["v"] > READS[self.kind]:
                raise NewerFormatError(self.kind + ".v", "%d is a newer format" % value["v"])
        self.rule(value, self.kind)
        if self.between:
            self.between(value)


def check(kind: str, value: "Any") -> None:
    """Raises DocumentError if the parsed `value` is no `kind`."""
    KINDS[kind]().check(value)


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


def root() -> Kind:
    role = Object(
        {
            "keyids": ListOf(keyid, 1, MAX_KEYS),
            # One that no envelope has room for would lock the fleet out of its own role.
            "threshold": Integer(1, MAX_SIGNATURES),
        }
    )
    return Kind(
        ROOT,
        {
            "fleet": name,
            "epoch": EPOCH,
            "keys": MapOf(keyid, sha256, 1, MAX_KEYS),  # raw public key, 64 hex digits
            "roles": Object({"root": role, "release": role, "order": role}),
            "minimum": MapOf(name, RELEASE, 0, MAX_MODELS),  # model: least release
        },
        # Its number in the chain of roots; 1 where it is absent.
        {"version": Integer(1, MAX_EPOCH)},
        _root_agrees,
    )


def _root_agrees(document: "Document") -> None:
    keys = document["keys"]
    for key in keys:
        found = dsse.keyid(public_key(document, key))
        if found != key:
            raise DocumentError("root.keys." + key, "the id of this key is %s" % found)
    for kind in document["roles"]:
        keyids = document["roles"][kind]["keyids"]
        where = "root.roles." + kind
        for key in keyids:
            if keyids.count(key) > 1:
                raise DocumentError(where + ".keyids", "%s stands there twice" % key)
            if key not in keys:
                raise DocumentError(where + ".keyids", "%s is not in root.keys" % key)
        threshold = document["roles"][kind]["threshold"]
        if threshold > len(keyids):
            problem = "%d, but it has %d keys" % (threshold, len(keyids))
            raise DocumentError(where + ".threshold", problem)


def manifest() -> Kind:
    file = Object({"role": OneOf(*FILE_ROLES), "sha256": sha256, "size": FILE_SIZE})
    needs = Object(
        {
            "flash": SIZE,  # all files together
            "ram": SIZE,  # the arena, in one piece
            "kernels": ListOf(token, 0, MAX_KERNELS),  # operators the firmware must have
            "runtime": token,  # "tflite" or "tflite>=2.14"
            "accelerator": token_or_empty,
        }
    )
    lineage = Object(
        {"dataset": text, "metrics": MapOf(token, integer, 0, 8), "quantisation": text}
    )
    delta = Object({"base": sha256, "sha256": sha256, "size": FILE_SIZE})
    return Kind(
        MANIFEST,
        {
            "fleet": name,
            "model": name,
            "release": RELEASE,
            "version": text,
            "target": target,
            "format": OneOf(*FORMATS),
            "files": ListOf(file, 2, MAX_FILES),
            "needs": needs,
            "tolerance": tolerance,
            "lineage": lineage,
            "forced": text,  # why it was released though its golden set failed; "": it passed
            "deltas": ListOf(delta, 0, MAX_DELTAS),  # shortcuts; the whole file always serves
        },
        between=_manifest_agrees,
    )


def tolerance(value: "Any", where: str) -> None:
    """Of a golden set (golden.py): its kind says which other field there is."""
    if type(value) is dict and value.get("kind") == "labels":
        rule = Object({"kind": OneOf("labels"), "least_ppm": Integer(0, 1000000)})
    else:
        rule = Object({"kind": OneOf("labels", "outputs"), "steps": MapOf(token, COUNT, 1, 8)})
    rule(value, where)


def _manifest_agrees(document: "Document") -> None:
    roles = []
    total = 0
    for file in document["files"]:
        roles.append(file["role"])
        total += file["size"]
    if sorted(roles) not in (["golden", "model"], ["golden", "labels", "model"]):
        problem = "%s: needed are one model, one golden, at most one labels" % ", ".join(roles)
        raise DocumentError("manifest.files", problem)
    flash = document["needs"]["flash"]
    if flash < total:
        raise DocumentError("manifest.needs.flash", "%d, but its files have %d" % (flash, total))


def order() -> Kind:
    return Kind(
        ORDER,
        {
            "fleet": name,
            "target": target,
            "model": name,
            "epoch": EPOCH,
            "seq": Integer(1, MAX_SEQ),
            "manifest": sha256,  # of the manifest's payload
            "urls": ListOf(url, 1, MAX_URLS),  # a file is at URL/<sha256>
            "issued": TIME,
            "expires": TIME,
            "trial": Object({"seconds": TRIAL_SECONDS, "inferences": TRIAL_INFERENCES}),
            "shadow": boolean,
        },
        {"slots": ListOf(slot_range, 1, MAX_SLOT_RANGES), "device": name},
        _order_agrees,
    )


def slot_range(value: "Any", where: str) -> None:
    """[first slot, last slot]"""
    ListOf(Integer(0, SLOTS - 1), 2, 2)(value, where)
    first, last = value
    if first > last:
        raise DocumentError(where, "its first slot, %d, is above its last, %d" % (first, last))


def _order_agrees(document: "Document") -> None:
    if ("slots" in document) == ("device" in document):
        raise DocumentError("order.slots", "an order has either slots or a device")
    issued, expires = document["issued"], document["expires"]
    if expires <= issued:
        problem = "%d is not after order.issued, %d" % (expires, issued)
        raise DocumentError("order.expires", problem)


# Made anew for each check, so that the rules are in memory only meanwhile.
KINDS: "dict[str, Callable[[], Kind]]" = {ROOT: root, MANIFEST: manifest, ORDER: order}
