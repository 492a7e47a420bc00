"""Tests that each row of the state table keeps the rules of machine.py."""

import json

import pytest

from modelwave_agent import machine
from modelwave_agent import record as records
from modelwave_agent.driver import Driver
from modelwave_agent.journal import Journal
from modelwave_shared import manifests
from modelwave_shared.limits import (
    MAX_BYTES,
    MAX_EPOCH,
    MAX_LOADING_BYTES,
    MAX_NAME,
    MAX_SEQ,
    MAX_TENSOR_NAME,
    MAX_TEXT,
    MAX_TIME,
    MAX_TRIAL_SECONDS,
)
from modelwave_shared.words import FILE_ROLES, OUTCOMES, STATES

DETAIL = {
    "order": {"epoch": 0, "seq": 2, "sha256": "o"},
    "time": 7,
    "bank": {"manifest": "m2", "release": 2, "confirmed": False},
    "reason": "because",
    "seconds": 600,
}

ROWS = [(state, event) for state, events in machine.TABLE.items() for event in events]


def record(state):
    made = records.new_record()
    made["state"] = state
    made["banks"] = [
        {"manifest": "m1", "release": 1, "confirmed": True},
        {"manifest": "m2", "release": 2, "confirmed": False},
    ]
    return made


def test_every_state_of_the_documents_has_a_boot_row_and_no_other_state_exists():
    assert set(machine.TABLE) == set(STATES)
    assert {state for state, event in ROWS if event == "boot"} == set(STATES)
    assert {machine.TABLE[state][event][0] for state, event in ROWS} <= set(STATES)


def test_every_effect_is_one_that_the_driver_knows():
    found = {
        effect
        for events in machine.TABLE.values()
        for row in events.values()
        for effect in row[2].split()
    }
    assert found == set(Driver.EFFECTS)


def test_every_state_can_be_left_for_idle_when_a_newer_order_comes():
    for state in STATES:
        if state != "idle":
            assert machine.TABLE[state]["superseded"][0] == "idle"


def test_illegal_step_raises():
    with pytest.raises(KeyError, match="healthy"):
        machine.step(record("idle"), "healthy", {})


def test_step_leaves_the_record_as_it_is():
    for state, event in ROWS:
        before = record(state)
        machine.step(before, event, DETAIL)
        assert before == record(state)


def test_only_a_confirmed_bank_becomes_live_and_only_then_is_it_succeeded():
    for state, event in ROWS:
        new, _ = machine.step(record(state), event, DETAIL)
        if new["live"] != 0:
            assert new["banks"][new["live"]]["confirmed"]
        if new["outcome"] == "SUCCEEDED":
            assert event in ("healthy", "running")
        assert (new["outcome"] == "SHADOWED") == (event == "shadowed")
        assert new["outcome"] in ("", *OUTCOMES)


def test_only_a_failed_health_check_blacklists():
    for state, event in ROWS:
        new, _ = machine.step(record(state), event, DETAIL)
        assert bool(new["blacklist"]) == (event in ("unhealthy", "crashed"))


def test_blacklist_forgets_the_release_that_failed_first():
    full = record("trial")
    full["blacklist"] = [str(number) for number in range(machine.MAX_BLACKLIST)]
    new, _ = machine.step(full, "unhealthy", DETAIL)
    assert new["blacklist"] == [*full["blacklist"][1:], "m2"]


def test_latest_signed_time_is_the_one_that_was_judged():
    """terms.moved_floor gives it, from the one before."""
    for event in ("running", "held", "accepted"):
        for known in (DETAIL["time"] - 1, DETAIL["time"] + 1):
            before = record("idle")
            before["time"] = known
            new, _ = machine.step(before, event, DETAIL)
            assert new["time"] == DETAIL["time"]


def test_first_order_of_an_epoch_ends_all_bans_and_the_next_ones_end_none():
    for event in ("running", "held", "accepted"):
        banned = {**record("idle"), "blacklist": ["m1"]}
        later = {**DETAIL, "order": {**DETAIL["order"], "epoch": 1}}
        new, _ = machine.step(banned, event, later)
        assert new["blacklist"] == []
        new.update(state="idle", blacklist=["m1"])
        assert machine.step(new, event, later)[0]["blacklist"] == ["m1"]
        assert machine.step(banned, event, DETAIL)[0]["blacklist"] == ["m1"]


def test_order_ends_the_ban_of_its_own_release_if_it_says_so_and_no_other():
    banned = {**record("idle"), "blacklist": ["m1", "m2"]}
    for event in ("running", "held", "accepted"):
        assert machine.step(banned, event, DETAIL)[0]["blacklist"] == ["m1", "m2"]
        lifts = {**DETAIL, "lift_ban": True}
        assert machine.step(banned, event, lifts)[0]["blacklist"] == ["m1"]


def test_older_model_serves_in_place_of_a_damaged_one_where_nothing_is_on_its_way():
    for state, events in machine.TABLE.items():
        if "damaged" in events:
            for confirmed in (True, False):
                before = record(state)
                before["banks"][1]["confirmed"] = confirmed
                new, _ = machine.step(before, "damaged", DETAIL)
                assert new["banks"][0] is None
                assert new["live"] == (1 if state == "idle" and confirmed else 0)


def test_a_try_that_was_never_counted_is_not_given_back():
    for event in ("stopped", "unproven"):
        assert machine.step(record("trial"), event, DETAIL)[0]["tries"] == 0


def test_whatever_stopped_goes_on_when_the_order_comes_again():
    for state in STATES:
        if state != "idle":
            assert machine.TABLE[state]["again"][0] == state


def test_a_bank_that_was_not_cleared_when_its_order_expired_is_not_trusted():
    new, _ = machine.step(record("clearing"), "failed", DETAIL)
    assert new["banks"][1] is None


def test_a_proof_that_this_device_could_not_make_costs_no_try():
    before = record("proving")
    before["tries"] = 1
    new, effects = machine.step(before, "unproven", {})
    assert (new["state"], new["tries"], effects) == ("fetching", 0, ["rest", "fetch"])


def test_the_spare_bank_serves_on_trial_and_never_else():
    for state in STATES:
        assert records.serving(record(state)) == (1 if state == "trial" else 0)


def test_a_trial_that_told_nothing_costs_no_try_but_one_in_which_the_model_ran_does():
    before = dict(record("trial"), tries=2)
    assert machine.step(before, "unproven", {})[0]["tries"] == 1
    assert machine.step(before, "lost", {})[0]["tries"] == 2
    assert machine.lost_event(before) == "lost"
    assert machine.lost_event(dict(before, tries=machine.MAX_TRIES)) == "worn"


def test_last_try_is_worn_after_a_reset():
    tired = record("trial")
    assert machine.boot_event(tired) == "boot"
    tired["tries"] = machine.MAX_TRIES
    assert machine.boot_event(tired) == "worn"
    tired["state"] = "fetching"
    assert machine.boot_event(tired) == "boot"


def test_shadow_changes_neither_what_serves_nor_what_is_in_a_bank():
    for event in machine.TABLE["shadow"]:
        before = record("shadow")
        new, _ = machine.step(before, event, DETAIL)
        assert (new["live"], new["banks"]) == (before["live"], before["banks"])
        assert new["state"] != "trial"
    over, _ = machine.step(record("shadow"), "shadowed", DETAIL)
    assert machine.order_event(over, "m2") == "held"


def test_shadow_that_has_lasted_gives_its_try_back_and_a_new_order_begins_anew():
    before = record("shadow")
    before["tries"] = 2
    new, effects = machine.step(before, "lasted", DETAIL)
    assert (new["tries"], new["shadow_seconds"], effects) == (1, 600, [])
    after_reset, _ = machine.step(new, "boot", {})
    assert (after_reset["state"], after_reset["shadow_seconds"]) == ("fetching", 600)
    idle, _ = machine.step(new, "superseded", DETAIL)
    taken, _ = machine.step(idle, "held", DETAIL)
    assert "shadow_seconds" not in taken


def test_order_for_what_is_live_needs_no_download_nor_does_one_for_the_other_bank():
    assert machine.order_event(record("idle"), "m1") == "running"
    assert machine.order_event(record("idle"), "m2") == "held"
    assert machine.order_event(record("idle"), "m3") == "accepted"


def test_largest_record_that_can_be_fits_the_journal(tmp_path):
    """Every text at its limit, as the documents and the machine bound them. A backslash takes two
    bytes of JSON."""
    largest = records.new_record()
    loading = {"shapes": {"x" * MAX_TENSOR_NAME: [1] * 8, "y" * MAX_TENSOR_NAME: [1], "z": [1]}}
    name = "z" * (1 + MAX_LOADING_BYTES - len(json.dumps(loading)))
    loading["shapes"][name] = loading["shapes"].pop("z")
    assert len(json.dumps(loading)) == MAX_LOADING_BYTES
    manifests.loading(loading, "loading")
    bank = {
        "manifest": "f" * 64,
        "release": 2**31 - 1,
        "version": "\\" * MAX_TEXT,
        "files": [{"role": role, "sha256": "f" * 64, "size": MAX_BYTES} for role in FILE_ROLES],
        "limit_us": MAX_TIME,
        "format": "f" * MAX_NAME,
        "loading": loading,
        "confirmed": False,
    }
    largest.update(
        state="fetching",
        banks=[bank, bank],
        order={"epoch": MAX_EPOCH, "seq": MAX_SEQ, "sha256": "f" * 64},
        time=MAX_TIME,
        shadow_seconds=MAX_TRIAL_SECONDS,
        outcome="ROLLED_BACK",
        reason="\\" * MAX_TEXT,
        blacklist=["f" * 64] * machine.MAX_BLACKLIST,
    )
    journal = Journal(str(tmp_path), "journal")
    journal.read()
    journal.write(largest)
    assert Journal(str(tmp_path), "journal").read() == largest
