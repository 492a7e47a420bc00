"""Tests a device's slot against vectors from openssl, and the two forms of sets of slots."""

from modelwave_shared import slots
from modelwave_shared.limits import MAX_NAME, SLOTS


def test_slot_is_what_openssl_computes():
    # printf 'demo\0pump-1' | openssl dgst -sha256: the first 8 hex digits, modulo 1000
    for fleet, device, start in (
        ("demo", "pump-1", 0xC47F9545),
        ("demo", "pump-2", 0x8BE800C8),
        ("farm", "pump-1", 0xDBAFC86A),
        ("a", "b", 0x59B271AE),
        ("f" * MAX_NAME, "9" * MAX_NAME, 0x76B07C0A),
    ):
        assert slots.slot(fleet, device) == start % 1000


def test_fleet_and_device_do_not_run_into_each_other():
    assert slots.slot("ab", "c") != slots.slot("a", "bc")


def test_every_slot_is_met_and_none_outside():
    seen = {slots.slot("demo", f"d{number}") for number in range(10000)}
    assert seen == set(range(SLOTS))


def test_ranges_hold_both_their_ends():
    ranges = [[0, 0], [10, 12], [999, 999]]
    assert [n for n in range(SLOTS) if slots.contains(ranges, n)] == [0, 10, 11, 12, 999]
    assert not slots.contains([], 0)


def test_bit_k_of_a_bitmap_is_slot_k_the_lowest_bit_of_a_byte_first():
    # printf '\001\002' ; head -c 122 /dev/zero ; printf '\200'  piped into base64
    text = "AQIA" + "AAAA" * 40 + "AIA="
    assert [n for n in range(SLOTS) if slots.contains(text, n)] == [0, 9, 999]
    every = "/" * 166 + "8="
    assert all(slots.contains(every, n) for n in range(SLOTS))
