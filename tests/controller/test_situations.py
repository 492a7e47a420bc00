"""Each situation of a rollout: what the service does, why, and what an operator reads happens next.

The plan has two stages, of 10 and 100 %, a soak of 50 s and a deadline of 100 s; it is second 60.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from test_decide import BAD, GOOD, LOST, WAITING, plan, stage

from modelwave_controller.judge import verdicts
from modelwave_controller.phrases import moment, span
from modelwave_controller.rollout import decide
from modelwave_controller.rollout.decide import Facts, StageFacts
from modelwave_controller.rollout.events import Rest
from modelwave_controller.rollout.gates import Counts, Gate
from modelwave_controller.rollout.waiting import Approval, Start

NOW = 60
FIRST, SECOND = "stage 1 (10 %)", "stage 2 (100 %)"
PASSED = "10 of 10 devices succeeded"
ROLLED_BACK = f"{FIRST}: 10 of 10 opened devices rolled back (100 %)"
REVERT_OR = (
    "`modelwave rollout revert 7` reverts it, `modelwave rollout abort 7` leaves every device as "
    "it is"
)
END = "`modelwave rollout abort 7` ends it"
ANEW = "the service orders these devices anew at its next ticks"
HOLDS = "this holds it by itself at the service's next tick"
UNSENT = "its soak and deadline begin when the broker has acknowledged its orders"
# A device may wait for a window for days.
NIGHTLY: dict[str, Any] = {
    "maintenance": {"timezone": "UTC", "windows": ["mon-fri 01:00-04:00"]},
    "stages": [
        {"percent": percent, "soak_seconds": 50, "deadline_seconds": 400_000}
        for percent in (10, 100)
    ],
}


def opened(*stages: StageFacts, **changes: Any) -> Facts:
    return Facts(stages or (stage(),), rollout=7, **changes)


class Case(NamedTuple):
    """`reason` is how it begins. `plan`: what differs in the plan."""

    facts: Facts
    verb: str
    reason: str
    next: str
    plan: Mapping[str, Any] = MappingProxyType({})


PARTS = opened(stage(GOOD, rest=Rest(devices=30, due=90)))
PACED = {
    "stages": [
        {
            "percent": percent,
            "soak_seconds": 50,
            "deadline_seconds": 100,
            "devices_per_minute": pace,
        }
        for percent, pace in ((10, 10), (100, 1000))
    ]
}
OPENING = f"{FIRST}: opening: 10 of 40 devices, 10 a minute, 3 min left; 10 of 40 devices succeeded"
BACK = Counts(devices=10, succeeded=8)
TWO = opened(stage(), stage())
SHADOW = {"percent": 10, "shadow": True}
CASES = {
    "numbers in doubt": Case(
        opened(stage(BAD), numbers_doubt="restored"),
        "wait",
        f"restored; {ROLLED_BACK}",
        "no order is signed until `modelwave recover` has compared its numbers with the devices'",
    ),
    "key away": Case(
        opened(key_away="no agent", numbers_doubt="restored"),
        "wait",
        f"no agent; {FIRST}: {PASSED}",
        "it goes on by itself when the key is back",
    ),
    "clock in doubt": Case(
        opened(doubt="it went back", key_away="no agent", numbers_doubt="restored"),
        "wait",
        f"it went back; {FIRST}: {PASSED}",
        "no order is signed until the clock is right again: set it, or, if it is right, "
        "`modelwave clock accept REASON`",
    ),
    "to be ordered back anew": Case(
        opened(back=BACK, reordering=2), "reorder", "2 devices to be ordered anew", ANEW
    ),
    "returned": Case(
        opened(back=replace(BACK, failed=2), back_since=0),
        "finish",
        "on the way back 8 of 10 devices succeeded, 2 failed",
        "it ends as REVERTED",
    ),
    "returning": Case(
        opened(back=BACK, back_since=20),
        "wait",
        "on the way back 8 of 10 devices succeeded, 2 without an answer yet",
        "it ends when all devices have answered, in 60 s at the latest",
    ),
    "returning, unsent": Case(
        opened(back=BACK), "wait", "on the way back 8 of 10 devices succeeded", UNSENT
    ),
    "revert asked": Case(
        opened(revert_asked="too slow"),
        "revert",
        "too slow",
        "the service orders its devices back at its next tick",
    ),
    "failed": Case(opened(stage(BAD)), "revert", ROLLED_BACK, "its devices are ordered back"),
    "failed, to be held": Case(opened(stage(BAD)), "hold", ROLLED_BACK, HOLDS, {"on_fail": "hold"}),
    "failed, held": Case(
        opened(stage(BAD), held=True),
        "wait",
        ROLLED_BACK,
        f"{REVERT_OR}; `modelwave rollout promote 7 --force REASON` goes on in spite of it",
        {"on_fail": "hold"},
    ),
    "to be ordered anew": Case(
        opened(reordering=1), "reorder", "1 device to be ordered anew", ANEW
    ),
    "paused": Case(
        opened(paused=True),
        "wait",
        f"{FIRST}: {PASSED}",
        "no stage opens until `modelwave rollout resume 7`; opened stages go on",
    ),
    "paused, opening": Case(
        replace(PARTS, paused=True),
        "wait",
        OPENING,
        "no further part opens until `modelwave rollout resume 7`",
        PACED,
    ),
    "held, passed since": Case(
        opened(held=True),
        "continue",
        f"{FIRST}: {PASSED}",
        "it continues by itself at the service's next tick",
    ),
    "held": Case(
        opened(stage(LOST), held=True),
        "wait",
        f"{FIRST}: ",
        "it goes on by itself when later answers or looks let the gate pass; `modelwave rollout "
        "resume 7` orders the devices anew that it waits for, with --accept REASON it overrules "
        f"the gate; {REVERT_OR}",
    ),
    "held for a person": Case(
        opened(stage(looked=Gate(verdicts.HOLD, "accuracy is estimated")), held=True),
        "wait",
        f"{FIRST}: accuracy is estimated",
        "a person decides: `modelwave rollout resume 7 --accept REASON` goes on to the next "
        f"stage; {REVERT_OR}",
    ),
    "unapproved": Case(
        opened(approval=Approval(None, "look at the page")),
        "ask",
        f"{SECOND} waits for approval (look at the page); {FIRST}: {PASSED}",
        "the service notes at its next tick that it waits; `modelwave rollout approve 7` lets it "
        f"open; {REVERT_OR}",
    ),
    "unapproved, asked": Case(
        opened(approval=Approval(0, "", "anna")),
        "wait",
        f"{SECOND} waits for approval by another than anna since {moment(0)}; {FIRST}: {PASSED}",
        f"`modelwave rollout approve 7` lets it open; {REVERT_OR}",
    ),
    "starting": Case(
        Facts(start=Start(3600, 90), doubt="it went back", rollout=7),
        "wait",
        "it went back; it waits for its start time",
        f"{FIRST} opens at {moment(3600)}, in 90 s; `modelwave rollout promote 7` begins it at "
        f"once, {END}",
    ),
    "nobody": Case(
        opened(unknown=("d1", "d2")),
        "hold",
        f"{SECOND}: none of its devices is known any more: d1, d2",
        HOLDS,
    ),
    "nobody, held": Case(
        Facts(unknown=("d1",), held_by_nobody=True, rollout=7),
        "wait",
        f"{FIRST}: none of its devices is known any more: d1",
        f"{FIRST} opens by itself when one of them reports again; else {END}, and the plan of the "
        "next one may name other devices",
    ),
    "unreadable": Case(
        opened(unreadable=("d1 reads order v 1",), more_unreadable=1),
        "hold",
        f"{SECOND}: 2 known devices cannot read it: d1 reads order v 1; and 1 more",
        HOLDS,
    ),
    "unreadable, held": Case(
        replace(
            PARTS,
            stages=(stage(rest=Rest(devices=30, due=60)),),
            unreadable=("d1",),
            held_by_format=True,
        ),
        "wait",
        f"{FIRST}: 1 known device cannot read it: d1",
        "its next part opens by itself when these devices report that they can read it: update "
        f"their agents, or `modelwave device forget` those that are gone; {REVERT_OR}",
        PACED,
    ),
    "outside": Case(
        opened(closed="opens tomorrow"),
        "wait",
        f"{SECOND}: opens tomorrow",
        f"{SECOND} opens by itself then; {REVERT_OR}",
    ),
    "new": Case(Facts(), "open", "no stage has opened yet", f"{FIRST} opens"),
    "part due": Case(
        opened(stage(rest=Rest(devices=30, due=60))), "open", OPENING, "its next part opens", PACED
    ),
    "opening": Case(PARTS, "wait", OPENING, "its next part opens in 30 s", PACED),
    "inconclusive": Case(opened(stage(LOST)), "hold", f"{FIRST}: ", HOLDS),
    "pending": Case(
        opened(stage(WAITING, 1)),
        "wait",
        f"{FIRST}: ",
        "the gate decides when enough devices answered, in 41 s at the latest",
    ),
    "pending, unsent": Case(opened(stage(WAITING, None)), "wait", f"{FIRST}: ", UNSENT),
    "soaking, unsent": Case(opened(stage(GOOD, None)), "wait", f"{FIRST}: {PASSED}", UNSENT),
    "answered": Case(
        opened(replace(stage(), soaking_since=None)),
        "soak",
        f"{FIRST}: {PASSED}",
        "its soak begins",
        NIGHTLY,
    ),
    "soaking": Case(
        opened(stage(GOOD, 11), approval=Approval(None, "", "anna")),
        "wait",
        f"{FIRST}: {PASSED}",
        f"{SECOND} opens in 1 s, after approval by another than anna",
    ),
    "looking": Case(
        opened(stage(look_at=95, looked=Gate(verdicts.PASS, "2 looks"))),
        "wait",
        f"{FIRST}: {PASSED}; 2 looks",
        "its last look at what its devices measured comes in 35 s",
    ),
    "last passed": Case(
        opened(stage(), stage()),
        "finish",
        f"{SECOND}: {PASSED}; in all stages 20 of 20 devices succeeded",
        "it ends as FINISHED",
    ),
    "passed": Case(opened(), "open", f"{FIRST}: {PASSED}", f"{SECOND} opens"),
}


def test_every_situation_has_a_case() -> None:
    assert CASES.keys() == decide.TABLE.keys()


@pytest.mark.parametrize("name", CASES)
def test_what_is_done_why_and_what_happens_next(name: str) -> None:
    case = CASES[name]
    found = decide.decide(plan(**case.plan), case.facts, NOW)
    assert (found.verb, found.next) == (case.verb, case.next)
    assert found.reason.startswith(case.reason)


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_without_words_where_no_stage_was_opened(name: str) -> None:
    case = CASES[name]
    found = decide.decide(plan(**case.plan), replace(case.facts, stages=()), NOW)
    assert "{" not in found.next


@pytest.mark.parametrize(("facts", "seconds"), [(Facts(), 100), (opened(), 100), (TWO, 500)])
def test_a_way_back_has_the_deadline_of_the_newest_stage_or_of_the_first(
    facts: Facts, seconds: int
) -> None:
    stages = [
        {"percent": percent, "soak_seconds": 50, "deadline_seconds": deadline}
        for percent, deadline in ((10, 100), (100, 500))
    ]
    back = replace(facts, back=BACK, back_since=0)
    left = f"in {span(seconds - NOW)} at the latest"
    assert next_of(back, stages=stages) == f"it ends when all devices have answered, {left}"
    for now, verb in ((seconds - 1, "wait"), (seconds, "finish")):
        assert decide.decide(plan(stages=stages), back, now).verb == verb


def next_of(facts: Facts, **changes: Any) -> str:
    return decide.decide(plan(**changes), facts, NOW).next


def test_a_soak_waits_for_the_acknowledgement_also_where_devices_may_wait_for_a_window() -> None:
    answered, unsent = replace(stage(), soaking_since=None), stage(since=None)
    assert next_of(opened(answered)) == UNSENT  # without windows it begins when it was sent
    assert next_of(opened(unsent), **NIGHTLY) == UNSENT


def test_a_shadow_alone_waits_for_no_maintenance_window() -> None:
    first, second = NIGHTLY["stages"]
    stages = [first | {"shadow": True, "gates": []}, second]
    changes = NIGHTLY | {"stages": stages, "shadow": {"seconds": 50}}
    shadowed = stage(Counts(devices=10, shadowed=10))
    assert next_of(opened(replace(shadowed, soaking_since=None)), **changes) == UNSENT
    assert next_of(opened(shadowed, replace(stage(), soaking_since=None)), **changes) == (
        "its soak begins"
    )


def test_of_two_stages_the_newest_one_is_waited_for() -> None:
    assert next_of(opened(stage(), stage(since=40))) == "the rollout is finished in 30 s"
    assert next_of(opened(stage(look_at=90), stage())) == "it ends as FINISHED"
    assert next_of(opened(stage(), stage(WAITING, 30))).endswith("in 70 s at the latest")
    looking = opened(stage(), stage(look_at=95))
    assert next_of(looking) == "its last look at what its devices measured comes in 35 s"
    opening = opened(stage(), stage(rest=Rest(devices=30, due=90)))
    assert next_of(opening, **PACED) == "its next part opens in 30 s"
    reason = decide.decide(plan(**PACED), opening, NOW).reason
    assert reason.startswith(f"{SECOND}: opening: 10 of 40 devices, 1,000 a minute, 2 s left; ")
    closed = opened(stage(), stage(rest=Rest(devices=30, due=NOW)), closed="tomorrow")
    assert next_of(closed, **PACED) == f"its next part opens by itself then; {REVERT_OR}"


def test_of_all_stages_who_has_not_answered_may_still_do_so() -> None:
    first = stage(Counts(devices=10, succeeded=9), accepted="good enough")
    found = decide.decide(plan(), opened(first, stage()), NOW)
    assert found.reason.endswith("19 of 20 devices succeeded, 1 without an answer yet")


def test_no_more_than_the_whole_soak_of_the_stage_is_left() -> None:
    stages = [
        {"percent": percent, "soak_seconds": soak, "deadline_seconds": 100}
        for percent, soak in ((10, 20), (100, 50))
    ]
    behind = opened(stage(since=NOW + 1))  # a clock that is shown may be behind
    assert next_of(behind, stages=stages) == f"{SECOND} opens in 20 s"


@pytest.mark.parametrize(
    ("counts", "verb"), [(GOOD, "continue"), (replace(LOST, failed=9, succeeded=1), "wait")]
)
def test_a_stage_that_was_held_in_the_midst_of_its_parts_goes_on_unless_its_gate_holds(
    counts: Counts, verb: str
) -> None:
    held = opened(stage(counts, rest=Rest(devices=30, due=90)), held=True)
    assert decide.decide(plan(**PACED), held, NOW).verb == verb


def test_before_its_soak_begins_and_without_devices_a_stage_has_none_left() -> None:
    for newest in (stage(since=None), stage(Counts(), 40)):
        assert decide.soak_left(plan(), opened(stage(), newest), NOW) == 0
    assert decide.soak_left(plan(), opened(stage(), stage(since=40)), NOW) == 30


def test_neither_a_promoted_stage_nor_one_of_no_devices_soaks() -> None:
    opens = f"{SECOND} opens"
    assert next_of(opened(stage(since=NOW, promoted=True))) == opens
    assert next_of(opened(stage(Counts(), None))) == opens


def test_a_stage_with_a_rest_of_a_plan_without_a_pace_says_no_pace() -> None:
    found = decide.decide(plan(), PARTS, NOW)
    assert found.reason == f"{FIRST}: 10 of 40 devices succeeded, 30 without an answer yet"


def test_roll_backs_that_were_overruled_do_not_fail_a_later_stage_but_one_more_does() -> None:
    overruled = stage(Counts(devices=10, succeeded=8, rolled_back=2), overruled=2, accepted="known")
    goes_on = opened(overruled, stage(WAITING))
    assert decide.decide(plan(), goes_on, NOW).verb == "wait"
    shadow = {"shadow": {"seconds": 50}, "stages": [SHADOW, {"percent": 100}]}
    two = Counts(devices=10, succeeded=8, rolled_back=2)
    of_a_shadow = opened(stage(two, overruled=2, accepted="known"), stage(two))
    assert decide.decide(plan(**shadow), of_a_shadow, NOW).verb == "revert"
    one_more = opened(overruled, stage(Counts(devices=10, rolled_back=2)))
    found = decide.decide(plan(), one_more, NOW)
    assert (found.verb, found.stage) == ("revert", 1)


def test_the_answers_of_a_shadow_are_not_those_of_the_only_stage() -> None:
    changes = {
        "shadow": {"seconds": 50},
        "stages": [SHADOW, {"percent": 100, "soak_seconds": 50}],
    }
    shadowed = stage(Counts(devices=10, shadowed=10))
    found = decide.decide(plan(**changes), opened(shadowed, stage()), NOW)
    assert (found.verb, found.reason) == ("finish", f"{SECOND}: {PASSED}")
    found = decide.decide(plan(stages=[{"percent": 100, "soak_seconds": 50}]), opened(), NOW)
    assert (found.verb, found.reason) == ("finish", f"stage 1 (100 %): {PASSED}")
