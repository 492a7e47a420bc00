"""The two readings of a document, shared's tables and the controller's models, accept the
same values: of valid documents, of documents with something wrong in them, and of every
character and boundary by itself."""

import copy
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from modelwave_controller.trust import documents as models
from modelwave_controller.trust import keys
from modelwave_shared import documents, dsse, fields, limits, reports, schema, words
from modelwave_shared.errors import DocumentError

pytestmark = pytest.mark.slow

# A few good strings each: what single characters do is another test's, further down.
HEX64 = "0123456789abcdef" * 4
NAMES = st.sampled_from(("a", "0", "digits", "cam-1_b", "labels", "z" * limits.MAX_NAME))
TOKENS = st.sampled_from(("any", "CONV_2D", "tflite>=2.14", "a/b+c.d=e", "Z" * limits.MAX_NAME))
TEXTS = st.sampled_from(("", "v2", "trained on a\xa0few, \ufffd", "é" * limits.MAX_TEXT))
HASHES = st.sampled_from((HEX64, "0" * 64, "f" * 64))
URLS = st.sampled_from(
    (
        "http://h",
        "https://files.example:8443/a/b~c%20d/",
        "http://[::1]:8180/files",
        "http://h/" + "p" * (limits.MAX_URL_CHARACTERS - 9),
    )
)


def _whole(low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low, high) | st.sampled_from((low, high))


COUNTS = _whole(0, limits.MAX_SEQ)
RELEASES = _whole(1, limits.MAX_EPOCH)


def _or_empty(strategy: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.just("") | strategy


@st.composite
def roots(draw: st.DrawFn) -> dict[str, Any]:
    count = draw(st.sampled_from((1, 3, limits.MAX_KEYS)))
    publics = [bytes([number]) * 32 for number in range(count)]
    known = {dsse.keyid(public): public.hex() for public in publics}

    def role() -> dict[str, Any]:
        some = st.lists(st.sampled_from(sorted(known)), min_size=1, unique=True)
        keyids = draw(st.just(sorted(known)) | some)
        return {
            "keyids": keyids,
            "threshold": draw(_whole(1, min(len(keyids), limits.MAX_SIGNATURES))),
        }

    return {
        "v": draw(RELEASES),
        "fleet": draw(NAMES),
        "epoch": draw(_whole(0, limits.MAX_EPOCH)),
        "keys": known,
        "roles": {"root": role(), "release": role(), "order": role()},
        "minimum": draw(st.dictionaries(NAMES, RELEASES, max_size=3)),
    }


@st.composite
def manifests(draw: st.DrawFn) -> dict[str, Any]:
    roles = draw(st.sampled_from((("model", "golden"), ("golden", "labels", "model"))))
    sizes = _whole(1, limits.MAX_BYTES // 4)
    files = [{"role": role, "sha256": draw(HASHES), "size": draw(sizes)} for role in roles]
    tolerance = st.fixed_dictionaries(
        {"kind": st.just("labels"), "least_ppm": _whole(0, 1_000_000)}
    ) | st.fixed_dictionaries(
        {
            "kind": st.just("outputs"),
            "steps": st.dictionaries(TOKENS, COUNTS, min_size=1, max_size=3),
        }
    )
    return {
        "fleet": draw(NAMES),
        "model": draw(NAMES),
        "release": draw(RELEASES),
        "version": draw(TEXTS),
        "target": draw(NAMES),
        "format": "tflite",
        "files": files,
        "needs": {
            "flash": sum(file["size"] for file in files) + draw(st.integers(0, 2)),
            "ram": draw(_whole(0, limits.MAX_BYTES)),
            "kernels": draw(st.lists(TOKENS, max_size=3)),
            "runtime": draw(TOKENS),
            "accelerator": draw(_or_empty(TOKENS)),
        },
        "tolerance": draw(tolerance),
        "lineage": {
            "dataset": draw(TEXTS),
            "metrics": draw(
                st.dictionaries(TOKENS, _whole(-limits.MAX_SEQ, limits.MAX_SEQ), max_size=3)
            ),
            "quantisation": draw(TEXTS),
        },
        "forced": draw(TEXTS),
        "deltas": draw(
            st.lists(
                st.fixed_dictionaries({"base": HASHES, "sha256": HASHES, "size": sizes}), max_size=2
            )
        ),
    }


@st.composite
def orders(draw: st.DrawFn) -> dict[str, Any]:
    issued = draw(_whole(0, limits.MAX_TIME - 1))
    slots = st.lists(_whole(0, limits.SLOTS - 1), min_size=2, max_size=2).map(sorted)
    whom = draw(
        st.fixed_dictionaries({"slots": st.lists(slots, min_size=1, max_size=3)})
        | st.fixed_dictionaries({"device": NAMES})
    )
    return {
        "fleet": draw(NAMES),
        "target": draw(NAMES),
        "model": draw(NAMES),
        "epoch": draw(_whole(0, limits.MAX_EPOCH)),
        "seq": draw(_whole(1, limits.MAX_SEQ)),
        "manifest": draw(HASHES),
        "urls": draw(st.lists(URLS, min_size=1, max_size=limits.MAX_URLS)),
        "issued": issued,
        "expires": draw(_whole(issued + 1, limits.MAX_TIME)),
        "trial": {
            "seconds": draw(_whole(0, limits.MAX_TRIAL_SECONDS)),
            "inferences": draw(_whole(0, limits.MAX_TRIAL_INFERENCES)),
        },
        "shadow": draw(st.booleans()),
        **whom,
    }


STATES = st.fixed_dictionaries(
    {
        "release": _whole(0, limits.MAX_EPOCH),
        "sha256": _or_empty(HASHES),
        "state": st.sampled_from(words.STATES),
        "epoch": _whole(0, limits.MAX_EPOCH),
        "seq": COUNTS,
        "outcome": st.sampled_from(("", *words.OUTCOMES)),
        "reason": TEXTS,
    }
)

VALID = {
    "root": roots(),
    "manifest": manifests(),
    "order": orders(),
    "report": st.fixed_dictionaries(
        {
            "boot": COUNTS,
            "n": COUNTS,
            "target": NAMES,
            "agent": TEXTS,
            "free": st.fixed_dictionaries({"flash": COUNTS, "ram": COUNTS}),
            "runtime": _or_empty(TOKENS),
            "runtime_version": _or_empty(TOKENS),
            "accelerator": _or_empty(TOKENS),
            "refused": TEXTS,
            "models": st.dictionaries(NAMES, STATES, max_size=3),
        }
    ),
    "metrics": st.fixed_dictionaries(
        {
            "boot": COUNTS,
            "n": COUNTS,
            "model": NAMES,
            "release": _whole(0, limits.MAX_EPOCH),
            "inferences": COUNTS,
            "failures": COUNTS,
            "labelled": COUNTS,
            "correct": COUNTS,
        }
    ),
}

ODD = (
    *(None, True, False, 0, 1, -1, 8, 9, 16, 17, 999, 1000, 1_000_000, 1_000_001, 604_800, 604_801),
    *(10**9, 10**9 + 1, 2**31 - 1, 2**31, 2**40, 2**40 + 1, 2**53 - 1, 2**53, 10**400),
    *(0.0, 1.0, -0.0, 1e300, math.nan, math.inf, -math.inf),
    *("", " ", "a", "A", "-a", "_", "a-_9", "a\n", "a b", "\x00", "\x7f", "\x80", "\xa0", "é"),
    *("\ud7ff", "\ud800", "\udfff", "\ue000", "\ufffd", "\ufffe", "\uffff", "\U0001f600"),
    *("a" * 63, "a" * 64, "é" * 200, "é" * 201, HEX64, HEX64.upper(), HEX64[1:], "g" * 64),
    *("device", "labels", "outputs", "model", "golden", "tflite", "trial", "SUCCEEDED", "QUEUED"),
    *("01234567", "0123456", "٣", "tflite>=2.14", "digits/labels", "a=b?", "true", "1"),
    *("http://h", "http://", "https:///p", "HTTP://h", "ftp://h", "http://u@h", "http://h/u@h"),
    *("http://u:p@h/", "http:h", "http://h?q", "http://h/#f", "http://h\\p", "http://[::1]:8/"),
    *("http://h/" + "p" * 191, "http://h/" + "p" * 192, "http://h\n", "http://é", "file:///x"),
    *([], {}, [[]], [0, 1], [1, 0], [0, 1000], [0, 1, 2], [0], [True, True], [0, 0], ["a"]),
    *({"kind": "labels"}, {"kind": "labels", "steps": {"any": 1}}, {"kind": []}, {"a": 1}),
    *({"kind": "outputs", "least_ppm": 1}, {"kind": "labels", "least_ppm": 0}, {"a": {}}),
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key or index) in a document."""
    found: list[tuple[Any, Any]] = []
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, entry in list(entries):
        found.append((value, key))
        if isinstance(entry, dict | list):
            found += _places(entry)
    return found


def _grown(value: Any, length: int) -> Any:
    """A list or an object of this length, with entries of the kind it has."""
    if isinstance(value, list):
        return (value * length)[:length] if value else [HEX64] * length
    entry = next(iter(value.values()), 1)
    if isinstance(entry, str) and len(entry) == 64:  # root.keys
        publics = [(1000 + at).to_bytes(32, "big") for at in range(length)]
        more = {dsse.keyid(public): public.hex() for public in publics}
    else:
        more = {f"{at:08x}": copy.deepcopy(entry) for at in range(length)}
    return dict([*value.items(), *more.items()][:length])


@st.composite
def spoilt(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    """A valid document in which one to three things have been changed."""
    document = copy.deepcopy(draw(VALID[kind]))
    for _ in range(draw(st.integers(1, 3))):
        container, key = draw(st.sampled_from(_places(document)))
        value = container[key]
        changes = ["odd", "remove", "unknown"]
        changes += ["step"] * isinstance(value, int)
        changes += ["character"] * isinstance(value, str)
        changes += ["grow"] * isinstance(value, dict | list)
        change = draw(st.sampled_from(changes))
        if change == "odd":
            container[key] = copy.deepcopy(draw(st.sampled_from(ODD)))
        elif change == "remove":
            del container[key]
        elif change == "unknown" and isinstance(container, dict):
            container[draw(st.text(max_size=9))] = value
        elif change == "step":
            container[key] = value + draw(st.sampled_from((-1, 1, 2**31, -(2**53))))
        elif change == "character":
            at = draw(st.integers(0, len(value)))
            container[key] = value[:at] + draw(st.characters(codec=None)) + value[at:]
        elif change == "grow":
            container[key] = _grown(value, draw(st.integers(0, 70)))
        if not _places(document):
            break
    return document


def shared_reading(kind: str) -> Any:
    return documents if kind in schema.CHECKS else reports


def by_shared(kind: str, value: Any) -> bool:
    try:
        shared_reading(kind).check(kind, value)
    except DocumentError:
        return False
    return True


def by_models(kind: str, value: Any) -> bool:
    try:
        models.MODELS[kind].model_validate(value)
    except ValidationError:
        return False
    return True


LENIENT = settings(
    deadline=None,
    max_examples=80,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.parametrize("kind", VALID)
@LENIENT
@given(data=st.data())
def test_both_readings_accept_a_valid_document_and_write_it_back(kind: str, data: Any) -> None:
    value = data.draw(VALID[kind])
    shared_reading(kind).check(kind, value)
    read = models.MODELS[kind].model_validate(value)
    assert read.document() == value
    assert shared_reading(kind).read(kind, keys.canonical(read.document())) == value


@pytest.mark.parametrize("kind", VALID)
@settings(parent=LENIENT, max_examples=500)
@given(data=st.data())
def test_both_readings_agree_on_a_spoilt_document(kind: str, data: Any) -> None:
    value = data.draw(spoilt(kind))
    assert by_shared(kind, value) == by_models(kind, value), value


@pytest.mark.parametrize("kind", VALID)
@pytest.mark.parametrize("value", [None, True, 1, 1.0, "", "x", [], [{}], {}], ids=repr)
def test_both_readings_refuse_what_is_no_object_of_fields(kind: str, value: Any) -> None:
    assert not by_shared(kind, value)
    assert not by_models(kind, value)


@pytest.mark.parametrize("kind", VALID)
@settings(parent=LENIENT, max_examples=6)
@given(data=st.data())
def test_both_readings_agree_on_every_odd_value_and_length_in_every_place(
    kind: str, data: Any
) -> None:
    value = data.draw(VALID[kind])
    for container, key in _places(value):
        kept = container[key]
        for odd in ODD:
            container[key] = odd
            assert by_shared(kind, value) == by_models(kind, value), (key, odd)
        if isinstance(kept, dict | list):
            for length in range(limits.MAX_KERNELS + 2):
                container[key] = _grown(kept, length)
                assert by_shared(kind, value) == by_models(kind, value), (key, length)
        container[key] = kept


def _accepts(check: Any, value: str) -> bool:
    try:
        check(value)
    except (DocumentError, ValidationError):
        return False
    return True


@pytest.mark.parametrize(
    ("shared", "model", "around"),
    [
        (fields.text, models.Text, ("", "")),
        (fields.name, models.Name, ("", "")),
        (fields.name, models.Name, ("a", "")),
        (fields.token, models.Token, ("", "")),
        (fields.sha256, models.Sha256, (HEX64[1:], "")),
        (fields.url, models.Url, ("http://", "h")),
        (fields.url, models.Url, ("http://h/", "")),
        (fields.url, models.Url, ("http://h", "")),
        (fields.url, models.Url, ("http://", ":1")),
        (fields.url, models.Url, ("", "ttp://h")),
    ],
)
def test_both_readings_agree_on_every_character(
    shared: Any, model: Any, around: tuple[str, str]
) -> None:
    adapter: TypeAdapter[str] = TypeAdapter(model)
    before, after = around
    accepted = 0
    for code in (*range(0x10080), 0x1F600, 0x10FFFF):
        value = f"{before}{chr(code)}{after}"
        found = _accepts(lambda v: shared(v, "field"), value)
        assert found == _accepts(adapter.validate_python, value), hex(code)
        accepted += found
    assert accepted
