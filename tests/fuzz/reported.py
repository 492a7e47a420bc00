"""What devices send: reports and windows, as the controller reads and devices write them."""

import json
import struct
from typing import Any

from modelwave_agent.observations import Observations, checked_counts, checked_sample
from modelwave_agent.types import COUNTS
from modelwave_controller.storage import messages, offers, views, window_measures
from modelwave_controller.storage.messages import Bad, Incoming, Measured, Repeat, ReportMessage
from modelwave_controller.trust.documents import Metrics, Report, view
from modelwave_shared import proofs, reports
from modelwave_shared.errors import DocumentError, JsonError
from modelwave_shared.fit import shortfalls
from modelwave_shared.limits import MAX_REPORT_BYTES
from modelwave_shared.window_format import MAX_METRICS_BYTES
from modelwave_shared.words import METRICS, REPORT
from tests.core.helpers import UNSIGNED
from tests.fuzz.judging import require_plain

FLEET, DEVICE = "demo", "pi-1"
KEY = bytes(range(32))
NEEDS = {"flash": 5, "ram": 5, "runtime": "tflite>=2.14", "accelerator": "edgetpu", "kernels": []}


def report(data: bytes) -> bool:
    """The controller takes what the rules of devices take, and a report that says the same as the
    one before is the same whether it was read as a repetition or not."""
    document, _ = proofs.split(data)
    expected = _by_rules(REPORT, document, MAX_REPORT_BYTES)
    found = _understood("reported", data)
    if not isinstance(found, ReportMessage):
        assert expected is None
        return False
    assert expected is not None
    assert found.report == view(Report, expected)
    _use(found.report)
    again = _understood("reported", data, found.said)
    if isinstance(again, Repeat):
        assert again.whole() == found
    else:
        assert again == found
        assert "nonce" in found.report.extra
    other = expected | {"refused": "" if expected["refused"] else "x"}
    assert not isinstance(_understood("reported", json.dumps(other).encode(), found.said), Repeat)
    sealed = _understood("reported", proofs.sealed(KEY, _topic("reported"), document))
    assert isinstance(sealed, ReportMessage)
    assert sealed.seal.is_of(KEY)
    assert not found.seal.is_of(bytes(32))
    return True


def _use(found: Report) -> None:
    """What is stored of it, and how it is compared with what a release needs."""
    column = offers.column(found)
    runtimes = offers.runtimes(column, found.runtime_version)
    offers.own_numbering(runtimes)
    views.column(found)
    views.root(found)
    has = {
        "flash": found.free.flash,
        "ram": found.free.ram,
        "runtime": found.runtime,
        "runtime_version": found.runtime_version,
        "runtimes": runtimes,
        "accelerator": found.accelerator,
        "kernels": None,
    }
    assert all(isinstance(one, str) for one in shortfalls(NEEDS, has))


def window(data: bytes) -> bool:
    """The controller takes what the rules of devices take; what it stores can be put together."""
    document, _ = proofs.split(data)
    expected = _by_rules(METRICS, document, MAX_METRICS_BYTES)
    if expected is not None and not _parts_fit(expected):
        expected = None  # of agents from before there were windows: the controller alone refuses it
    found = _understood("metrics", data)
    if not isinstance(found, Measured):
        assert expected is None
        return False
    assert expected is not None
    assert found.metrics == view(Metrics, expected)
    stored = window_measures.of_document(found.metrics)
    both = window_measures.load(window_measures.joined(stored, stored))
    assert both.compared == 2 * found.metrics.compared
    assert sum(both.confidence) == 2 * sum(found.metrics.confidence[1:])
    return True


def _parts_fit(document: dict[str, Any]) -> bool:
    pairs = (("failures", "inferences"), ("correct", "labelled"))
    return all(document[part] <= document[whole] for part, whole in pairs)


def written(data: bytes) -> bool:
    """What a program measures becomes windows that the controller takes, however odd it is."""
    seen, now, number, taken = Observations(900, 0), 0.0, 0, False

    def numbered() -> dict[str, Any]:
        nonlocal number
        number += 1
        return {"boot": 1, "n": number, "install": "0123456789abcdef"}

    for at in range(0, len(data) - RECORD.size + 1, RECORD.size):
        kind, counts, one, two, word = RECORD.unpack_from(data, at)
        now += kind % 7 * 200
        try:
            seen.add("digits", 1 + kind % 3, _counts(counts), _sample(kind, one, two, word))
            if kind & 0x80:
                seen.close(now)
        except (TypeError, ValueError):
            continue  # it was told to the program
    seen.close(now + 900)
    while (document := seen.next(numbered, now + 901)) is not None:
        payload = json.dumps(document).encode()
        found = _understood("metrics", payload)
        assert isinstance(found, Measured), (found, payload)
        seen.sent()
        taken = True
    return taken


RECORD = struct.Struct("<B4sdf4s")


def _counts(data: bytes) -> list[int]:
    return checked_counts([data[0] << data[1] % 24, data[1], data[2], data[3]][: len(COUNTS)])


def _sample(kind: int, one: float, two: float, word: bytes) -> Any:
    name = 3 * word.decode("latin-1").rstrip("\0")
    classes = (None, name, one, int.from_bytes(word, "little"))
    return checked_sample(
        confidence=two if kind & 1 else None,
        predicted=classes[kind >> 1 & 3],
        latency_ms=one if kind & 8 else None,
        metrics={name: one, "m" + name: two} if kind & 16 else None,
    )


def _understood(kind: str, data: bytes, said: bytes | None = None) -> "Incoming | Repeat | None":
    found = messages.understand(FLEET, _topic(kind), data, lambda _: said)
    if isinstance(found, Bad):
        require_plain(found.reason)
    return found


def _topic(kind: str) -> str:
    return f"modelwave/1/{FLEET}/{kind}/{DEVICE}"


def _by_rules(kind: str, document: bytes, longest: int) -> dict[str, Any] | None:
    try:
        return reports.read(kind, document) if len(document) <= longest else None
    except (JsonError, DocumentError) as error:
        require_plain(str(error))
        return None


def report_seeds() -> list[bytes]:
    plain = UNSIGNED[REPORT]
    model = plain["models"]["digits"] | {"tries": 2, "next_seconds": 60, "saved": 9}
    extra = {
        "nonce": "0123456789abcdef",
        "runtimes": {"tflite": "2.14", "onnxruntime+cpu": "1.20"},
        "root": 3,
        "view": "fresh",
    }
    full = plain | {"v": 1, "extra": extra, "models": {"digits": model}}
    seeds = [json.dumps(one).encode() for one in (plain, full)]
    return [*seeds, proofs.sealed(KEY, _topic("reported"), seeds[0])]


def window_seeds() -> list[bytes]:
    plain = UNSIGNED[METRICS]
    late = {key: plain[key] for key in ("boot", "n", "model", "release", *COUNTS)}
    seeds = [json.dumps(one).encode() for one in (plain, late)]
    return [*seeds, proofs.sealed(KEY, _topic("metrics"), seeds[0])]


def written_seeds() -> list[bytes]:
    some = RECORD.pack(0b11011, b"\4\1\2\1", 12.5, 0.75, b"3\0\0\0")
    other = RECORD.pack(0b10011101, b"\xff\x10\0\0", 1e9, 1.0, b"cat\0")
    full = b"".join(
        RECORD.pack(0b11011, b"\4\1\2\1", 1.7**number, number / 40, b"%04d" % (number * 7 % 10))
        for number in range(40)
    )
    return [some, some + other, (some + other) * 20, full]
