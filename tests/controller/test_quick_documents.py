"""Tests that reports that are read in one pass are those that the rules take, and mean the same."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.core.helpers import UNSIGNED

from modelwave_controller.trust import quick_documents
from modelwave_shared import reports
from modelwave_shared.errors import DocumentError, JsonError
from modelwave_shared.words import REPORT

FULL = UNSIGNED[REPORT] | {
    "v": 1,
    "install": "0123456789abcdef",
    "reads": {"order": 2},
    "extra": {"nonce": "0123456789abcdef", "runtimes": {"tflite": "2.14"}, "root": 3, "l": [1]},
}
MODEL = {
    "release": 1,
    "sha256": "ab" * 32,
    "state": "idle",
    "epoch": 1,
    "seq": 7,
    "outcome": "SUCCEEDED",
    "reason": "",
}
FULL["models"] = {"digits": MODEL, "words": MODEL | {"tries": 2, "next_seconds": 60, "saved": 9}}
ODD = [
    *(None, True, False, 0, 1, -1, 2, 2**31 - 1, 2**31, 2**53 - 1, 2**53, 10**17, 1.0, 1e300),
    *("", "a", "a" * 63, "a" * 64, "A", "-a", "a\n", "device", "é", "\u2028", "\\", '"', "a" * 201),
    *("ab" * 32, "AB" * 32, "ab" * 32 + "\n", "SUCCEEDED", "idle", "0123456789abcdef", "a b"),
    *([], {}, [[]], {"a": 1}, {"a": {"b": {"c": 1}}}, [1, "a"], {"a": 1.5}, {"a": None}),
    *({str(n): n for n in range(17)}, list(range(17))),
]


def same(data: bytes) -> bool:
    """Whether the quick reader takes it; then the rules must, with the same value and types."""
    found = quick_documents.report(data)
    if found is None:
        return False
    expected = reports.read(REPORT, data)
    assert found == expected
    assert json.dumps(found, sort_keys=True) == json.dumps(expected, sort_keys=True)
    return True


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of all values in a document."""
    entries = value.items() if isinstance(value, dict) else []
    return [path, *(one for key, its in entries for one in paths(its, (*path, key)))]


def with_another(path: tuple[Any, ...], value: Any) -> Any:
    document = json.loads(json.dumps(FULL))
    if not path:
        return value
    *way, last = path
    inner = document
    for key in way:
        inner = inner[key]
    inner[last] = value
    return document


@pytest.mark.parametrize("path", paths(FULL), ids=str)
def test_each_field_takes_what_its_rule_takes(path: tuple[Any, ...]) -> None:
    """And nothing that is plain goes to the rules in vain."""
    for value in ODD:
        data = json.dumps(with_another(path, value)).encode()
        try:
            reports.read(REPORT, data)
        except (DocumentError, JsonError):
            assert not same(data)
        else:
            assert same(data) or b"\\" in data, data


@pytest.mark.parametrize("path", paths(FULL)[1:], ids=str)
def test_fields_that_are_missing_or_unknown(path: tuple[Any, ...]) -> None:
    document = with_another(path, 0)
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    same(json.dumps(document).encode())
    inner["unknown"] = 1
    same(json.dumps(document).encode())


@pytest.mark.parametrize(
    "text",
    [
        '{"boot": 1, "boot": 1,',
        '{"boot" : 1, "boot": 1,',
        '{"boot": 01,',
        '{"boot": -0,',
        '{"boot": 1.0,',
        '{"boot": 1e0,',
        '{"boot":\t1,',
        '{"boot":\n1,',
        '{"boot": 1 ,,',
        '{"boot": 1, "extra": {"a": "", "a": ""},',
        '{"boot": 1, "extra": {"a": -0},',
        '{"boot": 1, "extra": {"a": NaN},',
        '{"boot": 1, "extra": {"a": 12345678901234567},',
    ],
)
def test_texts_that_the_strict_reader_refuses(text: str) -> None:
    rest = {name: value for name, value in FULL.items() if name not in ("boot", "extra")}
    assert quick_documents.report((text + json.dumps(rest)[1:]).encode()) is None


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_reports_of_which_some_bytes_are_others(data: st.DataObject) -> None:
    changed = bytearray(json.dumps(FULL).encode())
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    same(bytes(changed))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(paths(FULL)), st.recursive(st.text(max_size=3) | st.integers(), st.lists))
@example(("target",), "device")
def test_values_that_programs_write(path: tuple[Any, ...], value: Any) -> None:
    same(json.dumps(with_another(path, value)).encode())


def test_reports_are_not_left_to_the_rules() -> None:
    """Else it would be no faster."""
    for separators in (None, (",", ":")):
        assert same(json.dumps(FULL, separators=separators).encode())
        assert same(json.dumps(UNSIGNED[REPORT], separators=separators).encode())
