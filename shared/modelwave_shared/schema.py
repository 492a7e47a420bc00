"""The signed documents' fields: what is allowed in them (fields.py explains how it is
written), and what must hold between them.

Only documents.py calls this. A device has it in memory while it judges an order.
"""

import binascii

from modelwave_shared import dsse
from modelwave_shared.errors import DocumentError
from modelwave_shared.fields import (
    boolean,
    check,
    keyid,
    name,
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
from modelwave_shared.words import FILE_ROLES, FORMATS, MANIFEST, ORDER, ROOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def token_or_empty(value: object, where: str) -> None:
    if value != "":
        token(value, where)


def target(value: object, where: str) -> None:
    """Not "device", which names a branch of the topics."""
    name(value, where)
    if value == "device":
        raise DocumentError(where, "device is no target")


def slot_range(value: "Any", where: str) -> None:
    check([(0, SLOTS - 1), 2, 2], value, where)
    if value[0] > value[1]:
        raise DocumentError(where, "the first slot is above the last")


def tolerance(value: "Any", where: str) -> None:
    """Of a golden set (golden.py)."""
    if type(value) is dict and value.get("kind") == "labels":
        check({"kind": ("labels",), "least_ppm": (0, 1000000)}, value, where)
    else:
        steps = [token, (0, MAX_SEQ), 1, 8]
        check({"kind": ("labels", "outputs"), "steps": steps}, value, where)


SIZE = (0, MAX_BYTES)
RELEASE = (1, MAX_EPOCH)
EPOCH = (0, MAX_EPOCH)
TIME = (0, MAX_TIME)


def _root(root: "Any") -> None:
    # A threshold that no envelope has room for would lock the fleet out of its own role.
    role = {"keyids": [keyid, 1, MAX_KEYS], "threshold": (1, MAX_SIGNATURES)}
    spec = {
        "v": (1, MAX_EPOCH),
        "fleet": name,
        "epoch": EPOCH,
        "keys": [keyid, sha256, 1, MAX_KEYS],  # raw public key, 64 hex digits
        "roles": {"root": role, "release": role, "order": role},
        "minimum": [name, RELEASE, 0, MAX_MODELS],  # model: least release
    }
    check(spec, root, ROOT)
    keys = root["keys"]
    for key in keys:
        if dsse.keyid(binascii.unhexlify(keys[key])) != key:
            raise DocumentError("root.keys." + key, "not the id of its key")
    for kind in root["roles"]:
        keyids = root["roles"][kind]["keyids"]
        for key in keyids:
            if keyids.count(key) > 1 or key not in keys:
                raise DocumentError("root.roles." + kind, "%s twice, or not in root.keys" % key)
        if root["roles"][kind]["threshold"] > len(keyids):
            raise DocumentError("root.roles." + kind, "a threshold above its keys")


def _manifest(manifest: "Any") -> None:
    spec = {
        "fleet": name,
        "model": name,
        "release": RELEASE,
        "version": text,
        "target": target,
        "format": FORMATS,
        "files": [{"role": FILE_ROLES, "sha256": sha256, "size": (1, MAX_BYTES)}, 2, MAX_FILES],
        "needs": {
            "flash": SIZE,  # all files together
            "ram": SIZE,  # the arena, in one piece
            "kernels": [token, 0, MAX_KERNELS],  # operators the firmware must have
            "runtime": token,  # "tflite" or "tflite>=2.14"
            "accelerator": token_or_empty,
        },
        "tolerance": tolerance,
        "lineage": {
            "dataset": text,
            "metrics": [token, (-MAX_SEQ, MAX_SEQ), 0, 8],
            "quantisation": text,
        },
        "forced": text,  # why it was released though its golden set failed; "": it passed
        # Shortcuts; the whole file always serves.
        "deltas": [{"base": sha256, "sha256": sha256, "size": (1, MAX_BYTES)}, 0, MAX_DELTAS],
    }
    check(spec, manifest, MANIFEST)
    roles = []
    total = 0
    for file in manifest["files"]:
        roles.append(file["role"])
        total += file["size"]
    if sorted(roles) not in (["golden", "model"], ["golden", "labels", "model"]):
        raise DocumentError("manifest.files", "one model, one golden, at most one labels")
    if manifest["needs"]["flash"] < total:
        raise DocumentError("manifest.needs.flash", "less than its files have (%d)" % total)


def _order(order: "Any") -> None:
    spec = {
        "fleet": name,
        "target": target,
        "model": name,
        "epoch": EPOCH,
        "seq": (1, MAX_SEQ),
        "slots?": [slot_range, 1, MAX_SLOT_RANGES],
        "device?": name,
        "manifest": sha256,  # of the manifest's payload
        "urls": [url, 1, MAX_URLS],  # a file is at URL/<sha256>
        "issued": TIME,
        "expires": TIME,
        "trial": {"seconds": (0, MAX_TRIAL_SECONDS), "inferences": (0, MAX_TRIAL_INFERENCES)},
        "shadow": boolean,
    }
    check(spec, order, ORDER)
    if ("slots" in order) == ("device" in order):
        raise DocumentError("order.slots", "either slots or a device")
    if order["expires"] <= order["issued"]:
        raise DocumentError("order.expires", "not after order.issued")


# A document's spec is in memory only while it is checked.
CHECKS: "dict[str, Callable[[Any], None]]" = {ROOT: _root, MANIFEST: _manifest, ORDER: _order}
