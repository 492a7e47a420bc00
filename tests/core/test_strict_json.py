"""Tests what the strict JSON reader accepts, and that it accepts nothing else."""

import gc

from modelwave_agent.record import clean
from modelwave_shared import fields
from modelwave_shared.limits import MAX_ENVELOPE_BYTES, MAX_NESTING, MAX_SEQ
from modelwave_shared.strict_json import JsonError, loads
from tests.core.helpers import refused


def all_refused(*texts):
    return [refused(JsonError, loads, text) for text in texts]


def nested(depth):
    return b"[" * depth + b"]" * depth


def test_values_are_read():
    text = b'{"a": [1, -2, 0], "b": {"c": "d"}, "e": true, "f": false, "g": null, "": {}, "h": []}'
    found = loads(text)
    assert found == {
        "a": [1, -2, 0],
        "b": {"c": "d"},
        "e": True,
        "f": False,
        "g": None,
        "": {},
        "h": [],
    }
    assert type(found["e"]) is bool
    assert type(found["a"][0]) is int


def test_top_level_values_may_have_spaces_around():
    assert loads(b"  7  ") == 7
    assert loads(b' "x" ') == "x"
    assert loads(b"null") is None


def test_empty_input_is_refused():
    all_refused(b"", b" ", b"    ")


def test_4097_bytes_of_brackets_are_refused():
    all_refused(b"[" * (MAX_ENVELOPE_BYTES + 1))


def test_8000_brackets_are_refused_by_depth():
    assert "nested" in refused(JsonError, loads, b"[" * 8000)


def test_3000_objects_in_each_other_are_refused_by_depth():
    assert "nested" in refused(JsonError, loads, b'{"a":' * 3000)


def test_nesting_ends_at_its_limit():
    assert loads(nested(MAX_NESTING))
    assert "nested" in refused(JsonError, loads, nested(MAX_NESTING + 1))


def test_nesting_counts_objects_and_lists_together():
    half = MAX_NESTING // 2
    assert loads(b'[{"a":' * half + b"1" + b"}]" * half)
    all_refused(b'[{"a":' * half + b"[]" + b"}]" * half)


def test_nul_at_the_end_is_refused():
    all_refused(b"{}\0", b"\0{}", b'{"a":1\0}', b'"\0"')


def test_json_after_the_end_is_refused():
    all_refused(b"{}{}", b"{} {}", b"{},", b"[]]", b"1 2", b'{"a":1}}', b"null null")


def test_byte_order_mark_is_refused():
    all_refused(b"\xef\xbb\xbf{}", b"\xff\xfe{\0}\0", b"\xfe\xff\0{\0}")


def test_invalid_utf8_is_refused():
    all_refused(b'"\xff"', b'"\xc0\xaf"', b'"\xe2\x82"', b'{"\x80":1}')


def test_valid_utf8_is_refused_too_for_one_spelling():
    all_refused(b'"\xc3\xa9"')
    assert loads(b'"\\u00e9"') == "\xe9"


def test_white_space_other_than_the_space_is_refused():
    all_refused(b"{}\n", b"[1,\t2]", b"\r{}", b"\x0b1", b"1\x0c")


def test_control_characters_in_strings_are_refused():
    all_refused(*[b'"' + bytes([code]) + b'"' for code in range(0x20)])
    all_refused(b'"\x7f"')


def test_lone_surrogates_are_refused():
    all_refused(b'"\\ud800"', b'"\\uDFFF"', b'"\\udc00 \\ud800"', b'{"\\uD834":1}')


def test_surrogate_pairs_are_refused():
    all_refused(b'"\\ud83d\\ude00"')


def test_characters_beside_the_surrogates_are_read():
    assert loads(b'"\\ud7ff\\ue000\\uffff\\u0000"') == "\ud7ff\ue000\uffff\0"


def text_of(first, count):
    """A JSON text of so many characters, each written as an escape."""
    return b'"' + b"".join([b"\\u%04x" % code for code in range(first, first + count)]) + b'"'


def test_characters_have_the_utf8_that_they_have_everywhere():
    for code in (0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF):
        assert loads(text_of(code, 1)) == chr(code), code


def test_characters_that_were_never_seen_take_no_memory_for_good():
    """MicroPython never frees a one-character string, so no reader may make one."""
    in_use = getattr(gc, "mem_alloc", None)
    if not in_use:
        return
    texts = [text_of(first, 200) for first in range(0x5000, 0x6000, 200)]
    fields.text(loads(texts.pop()), "field")
    clean(loads(texts.pop()))
    gc.collect()
    before = in_use()
    for text in texts:
        fields.text(loads(text), "field")
        clean(loads(text))
        gc.collect()
    assert in_use() - before < 1000


def test_every_short_escape_is_read():
    assert loads(b'"\\"\\\\\\/\\b\\f\\n\\r\\t"') == '"\\/\b\f\n\r\t'


def test_unknown_escapes_are_refused():
    all_refused(b'"\\x41"', b'"\\a"', b'"\\\'"', b'"\\U0041"', b'"\\0"', b'"\\ "')


def test_cut_off_escapes_are_refused():
    all_refused(b'"\\', b'"\\"', b'"\\u', b'"\\u00"', b'"\\u004"', b'"\\u004')


def test_escapes_take_exactly_four_hex_digits():
    all_refused(b'"\\u+041"', b'"\\u 041"', b'"\\u0x41"', b'"\\u00_1"', b'"\\u-001"', b'"\\u004g"')
    assert loads(b'"\\u00411"') == "A1"
    assert loads(b'"\\u00e9\\u00E9"') == "\xe9\xe9"


def test_strings_without_an_end_are_refused():
    all_refused(b'"', b'"abc', b'{"a', b'{"a":"b', b"'a'")


def test_duplicate_keys_are_refused():
    all_refused(b'{"a":1,"a":1}', b'{"a":1,"b":{},"a":2}', b'{"a":1,"\\u0061":2}', b'{"":1,"":1}')
    assert loads(b'{"a":{"a":1}}') == {"a": {"a": 1}}


def test_a_refused_key_cannot_write_into_a_log():
    message = refused(JsonError, loads, b'{"\\u001b[2J\\n":1,"\\u001b[2J\\n":1}')
    assert all(0x20 <= ord(c) <= 0x7E for c in message), message


def test_missing_commas_are_refused():
    all_refused(b"[1 2]", b'{"a":1 "b":2}', b'["a""b"]', b"[[][]]")


def test_missing_or_wrong_colons_are_refused():
    all_refused(b'{"a" 1}', b'{"a"}', b'{"a":}', b'{"a",1}', b'{"a"::1}', b'{"a"=1}')


def test_commas_without_a_value_are_refused():
    all_refused(b"[1,]", b"[,1]", b"[,]", b'{"a":1,}', b"{,}", b"[1,,2]")


def test_wrong_closing_bracket_is_refused():
    all_refused(b"[1}", b'{"a":1]', b"[", b"]", b"{", b"}", b"[1", b'{"a":1')


def test_keys_that_are_no_strings_are_refused():
    all_refused(b"{1:2}", b"{null:1}", b"{true:1}", b"{[]:1}", b"{a:1}")


def test_words_in_another_spelling_are_refused():
    all_refused(b"True", b"TRUE", b"tru", b"nul", b"None", b"nulll", b"truefalse", b"undefined")


def test_comments_are_refused():
    all_refused(b"/**/1", b"1//", b"#1", b"[1/*,*/]")


def test_leading_zeros_are_refused():
    all_refused(b"007", b"00", b"01", b"-01", b"[0,01]")


def test_minus_zero_and_a_plus_are_refused():
    all_refused(b"-0", b"+1", b"--1", b"-", b"- 1", b"1-", b"-+1")


def test_fractions_and_exponents_are_refused():
    assert "numbers are integers" in refused(JsonError, loads, b"[1.0]")
    all_refused(b"1.0", b"1.", b".5", b"1e999", b"1E2", b"0e0", b"-1.5", b"1e", b"0.0")


def test_numbers_in_another_base_are_refused():
    all_refused(b"0x10", b"0b1", b"0o7", b"1_000", b"1f", b"1L")


def test_nan_and_infinity_are_refused():
    all_refused(b"NaN", b"Infinity", b"-Infinity", b"nan", b"inf", b"-inf", b"[NaN]")


def test_4000_digits_are_refused():
    all_refused(b"9" * 4000, b"-" + b"1" * 4000, b"0" * 4000)


def test_digits_end_at_their_limit():
    most = 9_999_999_999_999_999  # 16 digits
    assert loads(b"%d" % most) == most
    assert loads(b"-%d" % most) == -most
    all_refused(b"%d" % (most + 1), b"-%d" % (most + 1), b"%d" % 2**63)


def test_the_largest_sequence_is_read_exactly():
    assert loads(b"%d" % MAX_SEQ) == 9007199254740991


def test_every_cut_of_a_document_is_refused():
    text = b'{"a":[1,"\\u0041"],"b":{"c":true}}'
    assert loads(text)
    all_refused(*[text[:end] for end in range(len(text))])


def test_every_single_byte_outside_printable_ascii_is_refused_anywhere():
    for code in list(range(0x20)) + list(range(0x7F, 0x100)):
        all_refused(b'["a' + bytes([code]) + b'"]', bytes([code]) + b"[]", b"[]" + bytes([code]))
