"""Tests documents of a future format with this version's reader."""

from modelwave_shared import words
from modelwave_shared.errors import DocumentError, NewerFormatError, advised
from modelwave_shared.limits import MAX_EPOCH
from tests.core.helpers import KINDS, changed, check, none_accepted, refused, sample

OF_FORMAT_2 = {words.ORDER: {"slots": "/" * 166 + "8="}}  # what other formats say otherwise


def next_year(kind, **fields):
    document = sample(kind)
    document["v"] = words.READS[kind] + 1
    document.update(fields)
    return document


def test_document_without_a_format_version_is_of_the_first():
    for kind in KINDS:
        document = sample(kind)
        document.pop("v", None)
        check(kind, document)
        check(kind, changed(kind, "v", 1))


def test_format_version_that_is_none_is_refused():
    for kind in KINDS:
        none_accepted(kind, "v", 0, -1, True, "1", None, [], MAX_EPOCH + 1)


def test_higher_format_version_is_refused_with_what_is_read():
    for kind in KINDS:
        message = refused(NewerFormatError, check, kind, next_year(kind))
        reads = words.READS[kind]
        newer = "%s.v: %d is a newer format; %s v %d is read here"
        assert message == newer % (kind, reads + 1, kind, reads)


def test_higher_format_version_is_refused_before_any_field_is_looked_at():
    for kind in KINDS:
        without = next_year(kind, condition="only at night")
        del without[min(field for field in without if field not in ("v", "condition"))]
        for document in (without, next_year(kind, extra=7), {"v": 9}):
            message = refused(NewerFormatError, check, kind, document)
            assert message.startswith(kind + ".v: "), message
            assert " is a newer format" in message, message


def test_program_of_next_year_reads_both_formats():
    kept = dict(words.READS)
    for kind in KINDS:
        words.READS[kind] += 1
        newest = words.READS[kind]
        try:
            check(kind, next_year(kind, v=newest, **OF_FORMAT_2.get(kind, {})))
            check(kind, sample(kind))
            refused(NewerFormatError, check, kind, next_year(kind))
        finally:
            words.READS.update(kept)


def test_extra_is_ignored_in_every_kind():
    for kind in KINDS:
        check(kind, changed(kind, "extra", {"site": "north", "battery": {"least_percent": 20}}))


def test_extra_that_is_out_of_bounds_is_refused_in_every_kind():
    for kind in KINDS:
        deep = {"a": {"b": {"c": 1}}}
        none_accepted(kind, "extra", None, [], "x", deep, {"a": 1.5}, {"\x1b": 1})


def test_field_that_must_be_known_is_refused_by_its_name_under_the_same_format():
    for kind in KINDS:
        message = refused(NewerFormatError, check, kind, changed(kind, "condition", 1))
        unknown = "%s.condition: an unknown field; %s v %d is read here"
        assert message == unknown % (kind, kind, words.READS[kind])


def test_who_refuses_what_only_a_newer_program_reads_says_what_to_update():
    newer = NewerFormatError("order.v", "2 is a newer format")
    assert advised(newer, "agent").endswith("order v 2 is read here; update the agent")
    assert advised(DocumentError("order.seq", "missing"), "agent") == "order.seq: missing"
