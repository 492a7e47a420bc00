"""Reliability tables: read from the operator's file, signed in a manifest, and read from one."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.signing import Release

from modelwave_controller.errors import OperatorError
from modelwave_controller.judge.estimated import Bin
from modelwave_controller.releases import reliability, signed_figures
from modelwave_shared import documents
from modelwave_shared.limits import MAX_ENVELOPE_BYTES
from modelwave_shared.window_format import BINS
from modelwave_shared.words import MANIFEST

TABLE = tuple(Bin(number * 3, number * 2) for number in range(BINS))


def rows(table: Sequence[Bin] = TABLE) -> list[dict[str, int]]:
    return [
        {"bin": number, "n": one.examples, "correct": one.right} for number, one in enumerate(table)
    ]


def as_csv(given: list[dict[str, Any]]) -> str:
    return "bin,n,correct\n" + "".join(f"{r['bin']},{r['n']},{r['correct']}\n" for r in given)


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "table"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(rows()),
        json.dumps(rows()[::-1], indent=2),
        as_csv(rows()),
        as_csv(rows()[::-1]).replace("\n", "\r\n"),
        "﻿" + as_csv(rows()),
        as_csv(rows()).replace(",", ", ") + "\n",
    ],
    ids=["json", "json backwards", "csv", "csv backwards of Windows", "csv of Excel", "spaces"],
)
def test_table_is_read_from_json_and_csv(tmp_path: Path, text: str) -> None:
    assert reliability.read_table(file(tmp_path, text)) == TABLE


def changed(number: int, **fields: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [dict(row) for row in rows()]
    found[number] |= fields
    return found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        (" \n", "bin,n,correct"),
        ("x" * 70_000, "longer than"),
        ("\xff\xfe", "bin,n,correct"),
        ("[" * 30_000, "no JSON"),
        ("[1, 2", "no JSON"),
        ('{"bin": 0}', "bin,n,correct"),
        ("[1]", "row 1: give an object with bin, n and correct"),
        (json.dumps([{"bin": 0, "n": 1}]), "row 1: give an object with bin, n and correct"),
        (json.dumps(changed(2, extra=1)), "row 3: give an object with bin, n and correct"),
        (json.dumps(changed(2, n=1.5)), "row 3: n: 1.5"),
        (json.dumps(changed(2, n=True)), "row 3: n: True"),
        (json.dumps(changed(2, n=float("nan"))), "row 3: n: nan"),
        (json.dumps(changed(2, n="6")), "row 3: n: '6'"),
        (json.dumps(changed(2, n=10**9 + 1)), "row 3: n: 1000000001"),
        (json.dumps(changed(2, correct=-1)), "row 3: correct: -1"),
        (json.dumps(changed(2, correct=7)), "row 3: correct: 7; give an integer from 0 to 6"),
        (json.dumps(changed(2, bin=16)), "row 3: bin: 16; give an integer from 0 to 15"),
        (json.dumps(changed(2, bin=1)), "row 3: bin 1 is given twice"),
        (json.dumps(rows()[:10]), "it has 10 bins"),
        (json.dumps(rows([Bin(0, 0)] * BINS)), "no examples"),
        (as_csv(rows()[:15]), "it has 15 bins"),
        (as_csv(changed(2, n="6.0")), "row 3: n: '6.0'"),
        (as_csv(changed(2, n="٦")), "row 3: n: "),
        (as_csv(changed(2, n="")), "row 3: n: ''"),
        (as_csv(changed(2, n="9" * 5000)), "row 3: n: '999"),
        (as_csv(rows()) + "1,2\n", "row 17: give three numbers"),
        (as_csv(rows()).replace("bin,n,correct", "a,b,c"), "bin,n,correct"),
        (as_csv(rows()).split("\n", 1)[1], "bin,n,correct"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_table_is_refused_with_its_row(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "table"
    path.write_bytes(text.encode("latin-1") if text.startswith("\xff") else text.encode())
    with pytest.raises(OperatorError) as caught:
        reliability.read_table(path)
    assert str(caught.value).startswith("--reliability: ")
    assert words in str(caught.value)
    assert len(str(caught.value)) < 500


def test_largest_table_is_a_valid_part_of_a_manifest_and_leaves_room_in_it() -> None:
    table = (Bin(10**9, 10**9),) * BINS
    made = Release(1, b"model", extra=reliability.recorded(table))
    documents.check(MANIFEST, made.document)
    assert reliability.of_manifest(made.document) == table
    assert signed_figures.of_envelope(made.envelope).table == table
    assert len(made.envelope) - len(Release(1, b"model").envelope) < MAX_ENVELOPE_BYTES / 6


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"other": 1},
        {"reliability_n": [1] * BINS},
        {"reliability_n": [1] * 15, "reliability_correct": [1] * 15},
        {"reliability_n": [1] * BINS, "reliability_correct": [1] * 15},
        {"reliability_n": [1] * BINS, "reliability_correct": [2] * BINS},
        {"reliability_n": [0] * BINS, "reliability_correct": [0] * BINS},
        {"reliability_n": ["1"] * BINS, "reliability_correct": [1] * BINS},
        {"reliability_n": [True] * BINS, "reliability_correct": [1] * BINS},
        {"reliability_n": [10**10] * BINS, "reliability_correct": [1] * BINS},
        {"reliability_n": 1, "reliability_correct": 1},
    ],
)
def test_what_is_no_table_in_a_manifest_is_none(extra: dict[str, Any]) -> None:
    """A program that is not ours may have signed it; a release must be shown all the same."""
    assert reliability.of_manifest({"extra": extra}) is None
    assert reliability.of_manifest({}) is None
    assert signed_figures.of_envelope(b"of a newer program").table is None
