"""What is told of a new root before it is signed: what changes, and what may be a mistake."""

import copy
from typing import Any

import pytest

from modelwave_controller.trust import changes, drafts

NOW = 1_800_000_000
DAY = 86400


def root(**fields: Any) -> dict[str, Any]:
    """A root of which nothing is to be warned."""
    keys = {name: name * 8 for name in ("root1", "root2", "root3", "release1", "order1")}
    roles = {
        "root": {"keyids": ["root1", "root2", "root3"], "threshold": 2},
        "release": {"keyids": ["release1"], "threshold": 1},
        "order": {"keyids": ["order1"], "threshold": 1},
    }
    made = {"v": 2, "version": 1, "fleet": "demo", "epoch": 0, "keys": keys, "roles": roles}
    return made | {"minimum": {}, "extra": {"issued": NOW}} | copy.deepcopy(fields)


def roles(**changed: dict[str, Any]) -> dict[str, Any]:
    held: dict[str, Any] = root()["roles"]
    return held | changed


def warned(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """The first words of each warning."""
    return [line.partition(":")[0].partition(", at")[0] for line in changes.warnings(old, new, NOW)]


def test_a_root_that_changes_nothing_says_nothing() -> None:
    assert changes.changes(root(), root()) == []
    assert changes.warnings(root(), root(), NOW) == []


@pytest.mark.parametrize(
    ("expires", "told"),
    [
        (NOW, ["it expired at 2027-01-15 08"]),
        (NOW + 1, ["it expires soon"]),
        (NOW + 30 * DAY - 1, ["it expires soon"]),
        (NOW + 30 * DAY, []),
    ],
)
def test_root_that_expires_within_thirty_days_is_doubtful(expires: int, told: list[str]) -> None:
    assert warned(root(), root(expires=expires)) == told


@pytest.mark.parametrize(
    ("issued", "told"),
    [
        ({"issued": NOW + DAY}, None),
        (
            {"issued": NOW + DAY + 1},
            "it says that it was made at 2027-01-16 08:00 UTC, which is to",
        ),
        (
            {"issued": NOW - 1},
            "it says that it was made at 2027-01-15 07:59 UTC, before root 1 was",
        ),
        ({}, "it says that it has no date of its own, before root 1 was made"),
    ],
)
def test_root_made_a_day_from_now_or_before_the_last_one_is_doubtful(
    issued: dict[str, int], told: str | None
) -> None:
    found = changes.warnings(root(), root(extra=issued), NOW)
    assert [line.startswith(told or "") for line in found] == ([True] if told else [])


def test_roots_that_have_no_date_are_not_before_each_other() -> None:
    assert changes.warnings(root(extra={}), root(extra={}), NOW) == []


@pytest.mark.parametrize(
    ("was", "least", "told"),
    [
        ({"m": 2}, {"m": 2}, []),
        ({"m": 2}, {"m": 3}, []),
        ({"m": 2}, {"m": 1}, ["the minimum of m is lowered"]),
        ({"m": 2}, {}, ["the minimum of m is lowered"]),
        ({"m": 1}, {}, []),  # all releases are from 1 on
    ],
)
def test_minimum_that_is_lowered_is_doubtful(
    was: dict[str, int], least: dict[str, int], told: list[str]
) -> None:
    assert warned(root(minimum=was), root(minimum=least)) == told


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            {"root": {"keyids": ["root1", "root2", "root3"], "threshold": 1}},
            ["one root key alone may replace all keys of the fleet"],
        ),
        (
            {"root": {"keyids": ["root1", "root2"], "threshold": 2}},
            ["all root keys must sign"],
        ),
        (
            {"root": {"keyids": ["root1"], "threshold": 1}},
            ["one root key alone may replace all keys of the fleet", "all root keys must sign"],
        ),
        (
            {"order": {"keyids": ["order1", "root2"], "threshold": 1}},
            ["root key root2 signs orders too"],
        ),
        (
            {"order": {"keyids": ["order1", "release1"], "threshold": 1}},
            ["key release1 signs releases and orders"],
        ),
        (
            {"root": {"keyids": ["a", "b", "c"], "threshold": 2}},
            ["no root key stays"],
        ),
        ({"root": {"keyids": ["a", "b", "root3"], "threshold": 2}}, []),
    ],
)
def test_keys_that_do_too_much_or_too_little_are_doubtful(
    changed: dict[str, Any], told: list[str]
) -> None:
    assert warned(root(), root(roles=roles(**changed))) == told


def test_each_change_of_a_role_is_a_line() -> None:
    held = {"keyids": ["release1", "new"], "threshold": 2}
    new = root(roles=roles(release=held))
    new["keys"]["new"] = "newkey"
    new["keys"]["order1"] = "another"  # with the same id
    assert changes.changes(root(), new) == [
        "release key new is added (public key newkey)",
        "release keys that must sign: 1 of 1 → 2 of 2",
        "order key order1 is removed: what it signs counts for nothing from then on",
        "order key order1 is added (public key another)",
    ]


def test_each_change_of_a_field_is_a_line() -> None:
    old = root(minimum={"a": 2, "b": 1}, extra={"file_hosts": ["files.test"]})
    new = root(minimum={"b": 3}, epoch=1, expires=NOW, extra={})
    told = changes.changes(old, new)
    assert told[0].startswith("epoch: 0 → 1: order numbers, signed times and bans begin anew")
    assert told[1:3] == [
        "minimum of a: 2 → none: there is none any more",
        "minimum of b: 1 → 3: devices take releases from 3 on",
    ]
    assert told[3].startswith("hosts that files may come from: files.test → ")
    assert told[4:] == ["expires: never → 2027-01-15 08:00 UTC"]


def test_a_long_field_without_words_is_cut_and_says_so() -> None:
    whole, more = "x" * 398, "x" * 399  # 400 and 401 characters, in quotes
    assert changes.changes(root(), root(odd=whole)) == [f"root.odd: absent → '{whole}'"]
    assert changes.changes(root(), root(odd=more)) == [f"root.odd: absent → '{more} …"]


def test_who_still_has_to_sign_is_named_for_both_roots_or_once() -> None:
    half = drafts.Half(1, 2, ["a"], ["b", "c"])
    assert changes.lacking((half, half._replace(version=2))) == [
        "1 more of the root keys of root 1 and root 2 must sign: one of b, c"
    ]
    signed = drafts.Half(2, 2, ["a", "b"], ["c"])
    assert changes.lacking((half, signed)) == [
        "1 more of the root keys of root 1 must sign: one of b, c"
    ]
    alone = half._replace(version=2, left=[])
    assert changes.lacking((half, alone)) == [
        "1 more of the root keys of root 1 must sign: one of b, c",
        "1 more of the root keys of root 2 must sign: one of none is left",
    ]
    assert changes.lacking((signed._replace(version=1), signed)) == []


def test_a_moment_beyond_the_calendar_is_its_second() -> None:
    assert changes.when(None) == "never"
    assert changes.when(0) == "1970-01-01 00:00 UTC"
    assert changes.when(10**15) == "second 1000000000000000"


def test_facts_of_a_root_say_what_it_has_and_what_it_lacks() -> None:
    said = dict(changes.facts(root(minimum={"b": 2, "a": 1}, extra={})))
    assert said["root keys"] == "2 of 3: root1, root2, root3"
    assert said["minimum"] == "a from 1 on, b from 2 on"
    assert (said["issued"], said["expires"]) == ("not said", "never")
    assert dict(changes.facts(root(extra={"issued": 0})))["issued"] == "1970-01-01 00:00 UTC"
    assert dict(changes.facts(root()))["minimum"] == "none: every signed release may run"
