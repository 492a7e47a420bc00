"""Tests the rules for fields, and their messages."""

from modelwave_shared import fields
from modelwave_shared.errors import DocumentError, NewerFormatError
from modelwave_shared.rules import (
    SHOWN_CHARACTERS,
    Integer,
    ListOf,
    MapOf,
    Object,
    OneOf,
    shown,
)
from tests.core.helpers import all_refused, passes, refused

DIGIT = Integer(0, 9)
STATE = OneOf("idle", "trial")


def test_message_names_the_field_the_value_and_what_is_allowed():
    message = refused(DocumentError, Integer(1, 9), 10, "order.seq")
    assert message == "order.seq: 10 is no integer from 1 to 9"
    message = refused(DocumentError, STATE, "Idle", "order.state")
    assert message == 'order.state: "Idle" is none of idle, trial'
    message = refused(DocumentError, OneOf("", "on"), None, "order.state")
    assert message == 'order.state: null is none of "", on'


def test_value_in_a_message_is_short_and_printable_whoever_sent_it():
    assert shown("a\x1b[2Jb") == "a text with other characters than printable ASCII"
    assert shown("\u202egnp.exe") == "a text with other characters than printable ASCII"
    assert shown("x" * 4000) == '"%s..."' % ("x" * SHOWN_CHARACTERS)
    assert shown("x" * SHOWN_CHARACTERS) == '"%s"' % ("x" * SHOWN_CHARACTERS)
    assert shown(10**4000) == shown(-(10**16)) == "a number of more than 16 digits"
    assert [shown(value) for value in (True, False, None, -7, {}, [])] == [
        "true",
        "false",
        "null",
        "-7",
        "an object",
        "a list",
    ]
    assert shown(1.5) == "a value of another type"


def test_integers_keep_their_range():
    passes(Integer(1, 2**31 - 1), 1, 2**31 - 1)
    all_refused(Integer(1, 2**31 - 1), 0, -1, 2**31, 2**63, 10**4000)


def test_booleans_floats_texts_and_none_are_no_integers():
    passes(DIGIT, 0, 9)
    all_refused(DIGIT, True, False, 1.0, 1e999, float("nan"), "1", None, [1], {})


def test_one_of_takes_only_the_exact_words():
    passes(STATE, "idle", "trial")
    all_refused(STATE, "Idle", "", "idl", "idle ", 0, None, ["idle"])


def test_lists_keep_their_length_and_name_the_bad_entry():
    rule = ListOf(fields.boolean, 1, 2)
    passes(rule, [True], [True, False])
    all_refused(rule, [], [True] * 3, (True,), {"0": True}, "x", None)
    assert refused(DocumentError, rule, [True, 1], "a.b").startswith("a.b[1]: ")
    assert refused(DocumentError, rule, [True] * 3, "a") == "a: has 3 entries, allowed are 1 to 2"


def test_maps_keep_their_size_and_check_keys_and_values():
    rule = MapOf(fields.name, DIGIT, 1, 2)
    passes(rule, {"a": 1}, {"a": 1, "b": 9})
    all_refused(rule, {}, {"a": 1, "b": 1, "c": 1}, [], None, {"../x": 1}, {"a": True}, {"": 1})
    all_refused(rule, {"\x1b[2J": 1}, {"x" * 4000: 1})
    assert refused(DocumentError, rule, {"a": 10}, "x").startswith("x.a: ")


def test_objects_have_exactly_their_fields():
    rule = Object({"a": fields.boolean}, {"b": fields.boolean})
    passes(rule, {"a": True}, {"a": True, "b": False})
    all_refused(rule, {}, {"b": True}, {"a": 1}, {"a": True, "c": 1}, {"a": True, "A": True})
    all_refused(rule, {"a": True, "b": None}, [], None, "a")
    assert refused(DocumentError, rule, {"b": True}, "order") == "order.a: missing"


def test_unknown_field_is_refused_by_name_in_printable_ascii():
    rule = Object({})
    message = refused(NewerFormatError, rule, {"spare": 1}, "order.trial")
    assert message == "order.trial.spare: an unknown field; order v 2 is read here"
    message = refused(DocumentError, rule, {"\x1b[2J\n\u202e": 1}, "order")
    assert message.startswith("order.?: an unknown field"), message
    assert len(refused(DocumentError, rule, {"x" * 4000: 1}, "order")) < 150
