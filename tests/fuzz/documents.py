"""The payloads of signed documents.

What makes one valid is said once, in modelwave_shared. So the controller's JSON reader has to give
the same value, and with a valid one all has to go well that the product does with it.
"""

import base64
import json
from typing import Any

from modelwave_agent import shadow, terms
from modelwave_agent.case import Case
from modelwave_agent.delta import chosen
from modelwave_agent.record import new_record
from modelwave_agent.types import Enrolment
from modelwave_controller.rollout import slot_sets
from modelwave_controller.trust import documents as views
from modelwave_controller.trust import keys, quick_json
from modelwave_shared import (
    documents,
    golden,
    maintenance,
    manifests,
    orders,
    roles,
    slots,
    tensors,
)
from modelwave_shared.errors import DocumentError, EnvelopeError, JsonError
from modelwave_shared.fit import shortfalls
from modelwave_shared.limits import MILLION, SLOTS
from modelwave_shared.words import HEARTBEAT, MANIFEST, OFFERS, ORDER, ROOT, SIGNER
from tests import signing
from tests.core import helpers
from tests.fuzz.judging import require_plain

SOME_SLOTS = (0, 1, 7, 8, 9, 498, 499, 500, SLOTS - 2, SLOTS - 1)
HAS = {
    "flash": 10**6,
    "ram": 10**5,
    "runtime": "tflite",
    "runtime_version": "2.14.0",
    "accelerator": "edgetpu/14",
    "kernels": ["CONV_2D"],
    "runtimes": {"tflite": "2.14.0", "onnxruntime": "1.20", "onnxruntime+cpu": "1.20"},
}


def root(data: bytes) -> bool:
    found = read(ROOT, data)
    if found is None:
        return False
    its = views.view(views.Root, found)
    assert its.keys == found["keys"]
    for kind in SIGNER:
        role_keys, threshold = roles.role_keys(found, kind)
        assert 1 <= threshold <= len(role_keys)
        assert all(len(key) == 32 for key in role_keys.values())
    assert documents.root_version(found) >= 1
    device = Enrolment("pi-1", "linux-cpu", found)
    case = Case(b"", "digits", device, new_record(), lambda: HAS, wall=signing.ISSUED)
    _allowed(terms.root, case)
    return True


def manifest(data: bytes) -> bool:
    found = read(MANIFEST, data)
    if found is None:
        return False
    its = views.view(views.Manifest, found)
    assert {file.role for file in its.files} >= {"model", "golden"}
    assert manifests.format_version(found) <= its.v
    assert all(isinstance(one, str) for one in shortfalls(found["needs"], HAS))
    tensors.shortfalls(found.get("loading", {}), HAS["runtimes"])
    for kind in "ol":
        head = golden.Header(
            golden.pack(kind, "b", ("b", 4), [b"\1"], [b"abcd" if kind == "o" else 3])
        )
        _allowed(golden.Judge, head, found["tolerance"], "tflite-runtime")
    return True


def order(data: bytes) -> bool:
    found = read(ORDER, data)
    if found is None:
        return False
    if "slots" in found:
        theirs = set(slot_sets.numbers_in(slot_sets.named_in(found)))
        assert theirs
        for slot in SOME_SLOTS:
            assert slots.contains(found["slots"], slot) == (slot in theirs)
    extra = found.get("extra", {})
    _allowed(maintenance.of_extra, extra.get(maintenance.STARTS), extra.get(maintenance.LENGTHS))
    chosen(extra.get(OFFERS, []), "ab" * 32, 2, 1 << 20)
    assert 0 <= extra.get("max_failed_ppm", 0) <= MILLION
    case = Case(
        b"", "digits", Enrolment("pi-1", "linux-cpu", signing.root()), new_record(), lambda: HAS
    )
    case.order, case.envelopes = found, [_Digest()]
    case.manifest = json.loads(helpers.payload(MANIFEST))
    for wall, is_synchronised in ((None, False), (signing.ISSUED, True), (signing.ISSUED, False)):
        case.wall, case.is_synchronised = wall, is_synchronised
        for check in (terms.addressed, terms.sequence, terms.time, terms.blacklist, terms.fit):
            _allowed(check, case)
    _allowed(shadow.refusal, found, case.record, None)
    return True


class _Digest:
    """The part of an envelope that the checks ask for."""

    def digest(self) -> str:
        return "ab" * 32


def heartbeat(data: bytes) -> bool:
    found = read(HEARTBEAT, data)
    return found is not None


def read(kind: str, data: bytes) -> dict[str, Any] | None:
    """Reads it as devices do; None if it is refused, with a message that a log may have."""
    try:
        found: dict[str, Any] = documents.read(kind, data)
    except (JsonError, DocumentError) as error:
        require_plain(str(error))
        return None
    assert quick_json.loads(data) == found
    # What we would write is read again, as the same.
    assert documents.read(kind, keys.canonical(found)) == found
    return found


def _allowed(function: Any, *arguments: Any) -> None:
    """Calls a check, which may refuse it."""
    try:
        function(*arguments)
    except (ValueError, EnvelopeError, golden.GoldenError) as error:
        require_plain(str(error))


def root_seeds() -> list[bytes]:
    keyed = signing.root(
        v=2,
        version=7,
        expires=signing.EXPIRES,
        minimum={"digits": 3},
        extra={"issued": signing.ISSUED, "file_hosts": ["files.example.org:8443", "[::1]"]},
    )
    return [_written(signing.root()), _written(keyed)]


def manifest_seeds() -> list[bytes]:
    plain = json.loads(helpers.payload(MANIFEST))
    needs = {"elements": {"judge": "elements", "absolute": {"any": 10}, "relative": {"any": 5}}}
    judged = {
        **needs,
        "best": {"judge": "labels", "least_ppm": 900000},
        "boxes": {"judge": "boxes", "iou_ppm": 1, "score_ppm": 0, "least_ppm": 1, "count": "n"},
    }
    loaded = plain | {
        "v": 2,
        "format": "onnx",
        "tolerance": {"kind": "tensors", "outputs": judged},
        "loading": {"shapes": {"x": [1, 2]}, "delegates": ["xnnpack"], "providers": ["cpu"]},
        "deltas": [{"base": "ab" * 32, "sha256": "cd" * 32, "size": 5}],
        "extra": {"latency_limit_us": 5000},
    }
    labels = plain | {"tolerance": {"kind": "labels", "least_ppm": 5}}
    return [_written(one) for one in (plain, loaded, labels)]


def order_seeds() -> list[bytes]:
    plain = json.loads(helpers.payload(ORDER))
    shadowed = {
        "seconds": 60,
        "share_ppm": 5,
        "ram": 2**20,
        "latency_us": 5,
        "classes": True,
        "else_trial": False,
    }
    full = plain | {
        "v": orders.BITMAP_FORMAT,
        "slots": base64.b64encode(bytes(range(orders.BITMAP_BYTES))).decode(),
        "shadow": True,
        "extra": {
            "max_failed_ppm": 5,
            "lift_ban": True,
            OFFERS: [f"1 {'ab' * 8} 500 {'cd' * 32}"],
            "shadow": shadowed,
            maintenance.STARTS: [0, 5000],
            maintenance.LENGTHS: [60, 90],
        },
    }
    one = {name: value for name, value in plain.items() if name not in ("v", "slots")}
    return [_written(one) for one in (plain, full, one | {"device": "pi-1"})]


def heartbeat_seeds() -> list[bytes]:
    return [helpers.payload(HEARTBEAT)]


def _written(document: dict[str, Any]) -> bytes:
    return keys.canonical(document)
