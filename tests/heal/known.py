"""Histories of trouble that was met before, by name; random ones meet it rarely. The seed of each
is 1."""

from tests.heal.faults import HOUR
from tests.heal.fleet import GOOD, UNWELL, WRONG
from tests.heal.histories import Step

KNOWN = {
    "server_down_for_nine_minutes": [
        Step("server_down", ("503", 540), 5),
        Step("starts", (GOOD,), 600),
    ],
    "server_silent_beyond_the_deadline": [
        Step("server_down", ("silent", 3 * HOUR), 5),
        Step("starts", (GOOD,), 3 * HOUR),
    ],
    "server_lies": [
        Step("server_lies", (900,), 5),
        Step("starts", (GOOD,), 900),
    ],
    "broker_down_beyond_the_deadline": [
        Step("broker_down", (3 * HOUR,), 5),
        Step("starts", (GOOD,), 3 * HOUR - 60),
    ],
    "broker_down_when_the_second_stage_opens": [
        Step("starts", (GOOD,), 400),
        Step("broker_down", (3 * HOUR,), 3 * HOUR - 60),
    ],
    "broker_forgets_when_a_device_is_away": [
        Step("device_offline", (1, HOUR), 5),
        Step("starts", (GOOD,), 60),
        Step("broker_forgets", (30,), 600),
    ],
    "broker_forgets_and_nobody_notices": [
        Step("broker_forgets", (0,), 600),
        Step("device_replaced", (1, 60), 600),
    ],
    "broker_remembers_a_reverted_release": [
        Step("starts", (GOOD,), HOUR),
        Step("does", ("revert",), HOUR),
        Step("broker_remembers", (1, 0), 600),
        Step("device_resets", (1, 60), 600),
    ],
    "leader_dies_and_the_other_takes_over": [
        Step("second_service", (8 * HOUR,), 60),
        Step("starts", (GOOD,), 60),
        Step("service_dies", (3 * HOUR,), 2 * HOUR),
    ],
    "leader_hangs_and_goes_on_after_a_revert": [
        Step("second_service", (8 * HOUR,), 60),
        Step("starts", (GOOD,), 21),
        Step("service_freezes", (2 * HOUR,), HOUR),
        Step("does", ("revert",), 2 * HOUR),
    ],
    "two_bad_releases_and_a_good_one": [
        Step("starts", (WRONG,), HOUR),
        Step("starts", (UNWELL,), HOUR),
        Step("starts", (GOOD,), 60),
    ],
    "clock_jumps_in_a_soak": [
        Step("starts", (GOOD,), 500),
        Step("clock_jumps", (2 * HOUR, 600), 900),
    ],
    "clock_jumps_before_the_start": [
        Step("clock_jumps", (12 * 365 * 86400, HOUR), 30),
        Step("starts", (GOOD,), 600),
    ],
    "three_clean_stops_on_trial": [
        Step("starts", (GOOD,), 60),
        *[Step("device_stops", (number, 5), 2) for number in range(5)] * 5,
    ],
    "medium_fails_at_a_reset": [
        Step("medium_fails", (2, "EIO", 600), 5),
        Step("device_resets", (2, 5), 900),
    ],
    "medium_cannot_be_read_at_a_reset": [
        Step("medium_fails", (2, "EMFILE", 600), 5),
        Step("device_resets", (2, 5), 900),
    ],
    "medium_fails_at_the_proof": [
        Step("starts", (GOOD,), 21),
        *[Step("medium_fails", (number, "EMFILE", 1800), 2) for number in range(5)],
        Step("device_offline", (0, 60), 1800),
    ],
    "medium_is_full_in_a_download": [
        Step("medium_fails", (2, "ENOSPC", 1800), 5),
        Step("starts", (GOOD,), 1800),
    ],
    "one_is_gone_in_the_first_stage": [
        Step("device_gone", (1,), 5),
        Step("starts", (GOOD,), 3 * HOUR),
    ],
    "one_that_succeeded_is_forgotten_while_another_is_away": [
        Step("device_offline", (1, 5 * HOUR), 5),
        Step("starts", (GOOD,), HOUR),
        Step("forgets", (2,), 30),
        Step("broker_drops", (), HOUR),
    ],
    "pause_beyond_the_deadline": [
        Step("starts", (GOOD,), 100),
        Step("does", ("pause",), 3 * HOUR),
        Step("does", ("resume",), 60),
    ],
    "revert_while_the_service_is_away": [
        Step("starts", (GOOD,), HOUR),
        Step("service_dies", (600,), 5),
        Step("does", ("revert",), 60),
    ],
    "replaced_while_the_service_is_away": [
        Step("device_resets", (2, 8), 30),
        Step("service_dies", (60,), 6),
        Step("device_replaced", (2, 11), 3),
    ],
    "database_lost_in_a_rollout": [
        Step("starts", (GOOD,), 60),
        Step("database_lost", (), 600),
        Step("device_replaced", (1, 60), 600),
    ],
    "database_lost_and_devices_come_back_after_the_next_start": [
        *[Step("device_offline", (number, HOUR), 2) for number in (0, 2, 3, 4)],
        Step("broker_forgets", (0,), 5),
        Step("database_lost", (), 5),
        Step("device_replaced", (1, 5), 600),
        Step("starts", (GOOD,), 2 * HOUR),
    ],
    "database_lost_and_devices_come_back_far_ahead": [
        Step("starts", (GOOD,), 2 * HOUR),
        *[Step("device_offline", (number, HOUR), 2) for number in (0, 2, 3, 4)],
        Step("broker_forgets", (0,), 5),
        Step("database_lost", (), 5),
        Step("device_replaced", (1, 5), 600),
        Step("starts", (GOOD,), 2 * HOUR),
    ],
    "database_restored_from_before_two_releases": [
        Step("starts", (GOOD,), 2 * HOUR),
        Step("starts", (GOOD,), 2 * HOUR),
        Step("database_restored", (2,), 600),
    ],
    "database_restored_in_a_stage": [
        Step("starts", (GOOD,), 60),
        Step("broker_drops", (), HOUR),
        Step("database_restored", (1,), HOUR),
    ],
    "replaced_after_many_boots": [
        *[Step("device_resets", (1, 5), 60)] * 4,
        Step("device_replaced", (1, 60), 600),
    ],
    "two_devices_with_one_id": [
        Step("device_cloned", (1,), 60),
        Step("starts", (GOOD,), HOUR),
    ],
    "program_lets_no_update_go_on_until_the_deadline": [
        Step("device_busy", (1, 3 * HOUR), 5),
        Step("starts", (GOOD,), 3 * HOUR),
    ],
}
