"""The documents, field by field (docs/documents.md tells their story).

    root      which keys speak for the fleet              signed by 2 of 3 offline root keys
    manifest  one release of a model for one target       signed by the offline release key
    order     these slots (or this device) run that       signed by the controller's key
    report    a device's whole state                      not signed: the device's own word
    metrics   what a device's inferences came to          not signed

`read(kind, payload)` parses and checks one, `check(kind, value)` checks a parsed one.
Both raise ValueError (JsonError, DocumentError) whose message names the field. Sizes are
bytes, times Unix seconds, shares parts per million.
"""

from modelwave_shared import dsse, strict_json
from modelwave_shared.fields import (
    DocumentError,
    boolean,
    integer,
    list_of,
    map_of,
    name,
    one_of,
    record,
    sha256,
    text,
    token,
    url,
)
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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from modelwave_shared.fields import Check, Document

ROOT, MANIFEST, ORDER, REPORT, METRICS = "root", "manifest", "order", "report", "metrics"

# Whose signature a document needs: the role's name in the root document.
SIGNER = {ROOT: "root", MANIFEST: "release", ORDER: "order"}

# Outcomes that a device reports. The controller adds QUEUED, IN_PROGRESS, TIMED_OUT.
SUCCEEDED, ROLLED_BACK, REJECTED, FAILED, CANCELED = (
    "SUCCEEDED",
    "ROLLED_BACK",
    "REJECTED",
    "FAILED",
    "CANCELED",
)
OUTCOMES = (SUCCEEDED, ROLLED_BACK, REJECTED, FAILED, CANCELED)
# States of a model on a device (agent/modelwave_agent/machine.py).
STATES = ("idle", "clearing", "fetching", "proving", "trial")

FORMATS = ("tflite",)
FILE_ROLES = ("model", "golden", "labels")

_count = integer(0, MAX_SEQ)
_size = integer(0, MAX_BYTES)
_release = integer(1, MAX_EPOCH)
_version = integer(1, MAX_EPOCH)
_epoch = integer(0, MAX_EPOCH)
_seq = integer(1, MAX_SEQ)
_time = integer(0, MAX_TIME)
_ppm = integer(0, 1000000)


def _keyid(value: object, where: str) -> None:
    if type(value) is not str or len(value) != 8 or not all(c in "0123456789abcdef" for c in value):
        raise DocumentError(where, "a keyid of 8 lower-case hex digits")


def _or_empty(check: "Check") -> "Check":
    def check_or_empty(value: object, where: str) -> None:
        if value != "":
            check(value, where)

    return check_or_empty


def _target(value: object, where: str) -> None:
    name(value, where)
    if value == "device":
        raise DocumentError(where, "any target but device, which names a branch of the topics")


def _slot_range(value: "Any", where: str) -> None:
    list_of(integer(0, SLOTS - 1), 2, 2)(value, where)
    if value[0] > value[1]:
        raise DocumentError(where, "first slot, last slot: the first is not above the last")


def tolerance_rule(value: object, where: str) -> None:
    if type(value) is dict and value.get("kind") == "labels":
        record({"kind": one_of("labels"), "least_ppm": _ppm})(value, where)
    else:
        record({"kind": one_of("labels", "outputs"), "steps": map_of(token, _count, 1, 8)})(
            value, where
        )


# A threshold that no envelope has room for would lock the fleet out of its own role.
_role = record({"keyids": list_of(_keyid, 1, MAX_KEYS), "threshold": integer(1, MAX_SIGNATURES)})

_file = record(
    {"role": one_of(*FILE_ROLES), "sha256": sha256, "size": integer(1, MAX_BYTES)},
)

_needs = record(
    {
        "flash": _size,  # all files together
        "ram": _size,  # the arena, in one piece
        "kernels": list_of(token, 0, MAX_KERNELS),  # operators the firmware must have
        "runtime": token,  # "tflite" or "tflite>=2.14"
        "accelerator": _or_empty(token),
    }
)

_lineage = record(
    {
        "dataset": text,
        "metrics": map_of(token, integer(-MAX_SEQ, MAX_SEQ), 0, 8),
        "quantisation": text,
    }
)

_delta = record({"base": sha256, "sha256": sha256, "size": integer(1, MAX_BYTES)})

_model_state = record(
    {
        "release": integer(0, MAX_EPOCH),  # live and confirmed; 0: none
        "sha256": _or_empty(sha256),  # of that release's manifest
        "state": one_of(*STATES),
        "epoch": _epoch,
        "seq": integer(0, MAX_SEQ),  # the order that outcome and reason speak of; 0: none yet
        "outcome": _or_empty(one_of(*OUTCOMES)),  # "": under way
        "reason": text,
    }
)

TABLES = {
    ROOT: record(
        {
            "v": _version,
            "fleet": name,
            "epoch": _epoch,
            "keys": map_of(_keyid, sha256, 1, MAX_KEYS),  # raw public key, 64 hex digits
            "roles": record({"root": _role, "release": _role, "order": _role}),
            "minimum": map_of(name, _release, 0, MAX_MODELS),  # model: least release
        }
    ),
    MANIFEST: record(
        {
            "fleet": name,
            "model": name,
            "release": _release,
            "version": text,
            "target": _target,
            "format": one_of(*FORMATS),
            "files": list_of(_file, 2, MAX_FILES),
            "needs": _needs,
            "tolerance": tolerance_rule,
            "lineage": _lineage,
            "forced": text,  # why it was released though its golden set failed; "": it passed
            "deltas": list_of(_delta, 0, MAX_DELTAS),  # shortcuts; the whole file always serves
        }
    ),
    ORDER: record(
        {
            "fleet": name,
            "target": _target,
            "model": name,
            "epoch": _epoch,
            "seq": _seq,
            "slots": list_of(_slot_range, 1, MAX_SLOT_RANGES),
            "device": name,
            "manifest": sha256,  # of the manifest's payload
            "urls": list_of(url, 1, MAX_URLS),  # a file is at URL/<sha256>
            "issued": _time,
            "expires": _time,
            "trial": record(
                {
                    "seconds": integer(0, MAX_TRIAL_SECONDS),
                    "inferences": integer(0, MAX_TRIAL_INFERENCES),
                }
            ),
            "shadow": boolean,
        },
        optional=("slots", "device"),
    ),
    REPORT: record(
        {
            "boot": _count,  # (boot, n) grows with every report
            "n": _count,
            "target": _target,
            "agent": text,
            "free": record({"flash": _count, "ram": _count}),  # ram: largest piece
            "runtime": _or_empty(token),
            "runtime_version": _or_empty(token),
            "accelerator": _or_empty(token),
            "refused": text,  # why the last message that proved nothing was refused; "": none
            "models": map_of(name, _model_state, 0, MAX_MODELS),
        }
    ),
    METRICS: record(
        {
            "boot": _count,
            "n": _count,
            "model": name,
            "release": integer(0, MAX_EPOCH),
            "inferences": _count,
            "failures": _count,
            "labelled": _count,  # inferences whose right answer was known
            "correct": _count,
        }
    ),
}


def read(kind: str, payload: bytes) -> "Document":
    """The checked document in `payload` (bytes). Raises ValueError."""
    value: "Document" = strict_json.loads(payload)
    check(kind, value)
    return value


def check(kind: str, value: "Any") -> None:
    """Raises DocumentError if the parsed `value` is no `kind`."""
    TABLES[kind](value, kind)
    rule = _RULES.get(kind)
    if rule:
        rule(value)


def _root_rule(root: "Document") -> None:
    keys = root["keys"]
    for keyid in keys:
        if dsse.keyid(public_key(root, keyid)) != keyid:
            raise DocumentError("root.keys." + keyid, "not the id of its key")
    for role in root["roles"]:
        entry, where = root["roles"][role], "root.roles." + role
        if len(set(entry["keyids"])) != len(entry["keyids"]):
            raise DocumentError(where + ".keyids", "a key stands twice")
        for keyid in entry["keyids"]:
            if keyid not in keys:
                raise DocumentError(where + ".keyids", "%s is not in root.keys" % keyid)
        if entry["threshold"] > len(entry["keyids"]):
            raise DocumentError(where + ".threshold", "more than there are keys")


def _manifest_rule(manifest: "Document") -> None:
    roles = [entry["role"] for entry in manifest["files"]]
    if len(set(roles)) != len(roles) or "model" not in roles or "golden" not in roles:
        raise DocumentError("manifest.files", "one model, one golden, at most one labels")
    total = sum(entry["size"] for entry in manifest["files"])
    if manifest["needs"]["flash"] < total:
        raise DocumentError("manifest.needs.flash", "less than its files have (%d)" % total)


def _order_rule(order: "Document") -> None:
    if ("slots" in order) == ("device" in order):
        raise DocumentError("order.slots", "either slots or a device")
    if order["expires"] <= order["issued"]:
        raise DocumentError("order.expires", "not after order.issued")


_RULES: "dict[str, Callable[[Document], None]]" = {
    ROOT: _root_rule,
    MANIFEST: _manifest_rule,
    ORDER: _order_rule,
}


def public_key(root: "Document", keyid: str) -> bytes:
    """The raw 32 bytes of a key in a checked root document."""
    return bytes(int(root["keys"][keyid][i : i + 2], 16) for i in range(0, 64, 2))


def role_keys(root: "Document", kind: str) -> "tuple[dict[str, bytes], int]":
    """({keyid: 32 bytes}, threshold): who may sign documents of `kind` under `root`."""
    role = root["roles"][SIGNER[kind]]
    return {keyid: public_key(root, keyid) for keyid in role["keyids"]}, role["threshold"]


def open_signed(kind: str, envelope: dsse.Envelope, root: "Document") -> "Document":
    """The document in `envelope` (a dsse.Envelope), verified under the checked `root`, then
    parsed. Raises ValueError."""
    if envelope.kind != kind:
        raise dsse.EnvelopeError(
            "payloadType: a %s where a %s belongs" % (shown_kind(envelope.kind), kind)
        )
    keys, threshold = role_keys(root, kind)
    envelope.verify(keys, threshold)
    return read(kind, envelope.payload)


def open_first_root(data: bytes) -> "Document":
    """The root document that a device is enrolled with: handed over by a trusted way, so it
    speaks for itself, but must carry its own threshold of signatures. Raises ValueError."""
    envelope = dsse.read(data)
    if envelope.kind != ROOT:
        raise dsse.EnvelopeError("payloadType: not a root document")
    root = read(ROOT, envelope.payload)
    keys, threshold = role_keys(root, ROOT)
    envelope.verify(keys, threshold)
    return root


def shown_kind(kind: str) -> str:
    return kind if kind in TABLES else "stranger"
