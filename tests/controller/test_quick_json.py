"""Tests that the controller's JSON reader has the verdicts of the strict one, and its values."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.core import test_strict_json
from tests.core.helpers import UNSIGNED

from modelwave_controller.trust import quick_json
from modelwave_shared import strict_json
from modelwave_shared.errors import JsonError
from modelwave_shared.limits import MAX_NESTING


def verdict(loads: Any, data: bytes) -> str:
    """The value with its types, or the error with its text."""
    try:
        return repr(loads(data))
    except JsonError as error:
        return f"refused: {error}"


def same(data: bytes) -> None:
    assert verdict(quick_json.loads, data) == verdict(strict_json.loads, data)


SCALARS = st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=30,
)
PIECES = st.sampled_from(
    [
        *('{"', '":', "{", "}", "[", "]", ",", ":", '"', '"a"', '"a":', "\\", "\\u", "\\ud800"),
        *("0", "1", "-", "-0", "01", "1.0", "1e3", "9" * 16, "9" * 17, ".", "true", "nul", "null"),
        *("NaN", "Infinity", "-Infinity", " ", "\t", "\n", "\x7f", "é", "\\n", "\\x", '"[', ']"'),
    ]
)


@settings(max_examples=400, deadline=None)
@given(VALUES, st.booleans(), st.booleans())
def test_values_as_programs_write_them(value: object, ascii_only: bool, spaces: bool) -> None:
    separators = None if spaces else (",", ":")
    same(json.dumps(value, ensure_ascii=ascii_only, separators=separators).encode("utf-8"))


@settings(max_examples=600, deadline=None)
@given(st.lists(PIECES, max_size=14))
@example(['{"a":', "1", ",", '"a":', "1", "}"])  # a duplicate key
@example(['{"a":', "-0", "}"])
@example(["["] * (MAX_NESTING + 1) + ["]"] * (MAX_NESTING + 1))
@example(["["] * MAX_NESTING + ["]"] * MAX_NESTING)
# Brackets in strings, which hide how deep it is nested.
@example(['[[["]]]",[[[[1]]]],"[[["]]]'])
@example(["["] * 8000)
def test_texts_that_are_nearly_json(pieces: list[str]) -> None:
    same("".join(pieces).encode("utf-8"))


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([json.dumps(document).encode() for document in UNSIGNED.values()]),
    st.data(),
)
def test_documents_of_which_a_byte_is_another(document: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(document) - 1))
    changed = bytearray(document)
    changed[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    same(bytes(changed))


@pytest.mark.parametrize(
    "name", [name for name in vars(test_strict_json) if name.startswith("test_")]
)
def test_what_the_strict_reader_is_tested_with(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_strict_json, "loads", quick_json.loads)
    getattr(test_strict_json, name)()


def test_documents_are_not_left_to_the_strict_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would be no faster."""
    monkeypatch.setattr(strict_json, "loads", None)
    for document in UNSIGNED.values():
        assert quick_json.loads(json.dumps(document).encode()) == document
