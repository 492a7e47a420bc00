"""Tests the rules for single fields, at their limits."""

from modelwave_shared import fields
from modelwave_shared.errors import DocumentError
from modelwave_shared.limits import (
    MAX_EXTRA_CHARACTERS,
    MAX_EXTRA_ENTRIES,
    MAX_NAME,
    MAX_SEQ,
    MAX_TEXT,
    MAX_URL_CHARACTERS,
)
from tests.core.helpers import SHA256, all_refused, passes


def test_true_is_no_integer_and_1_is_no_boolean():
    all_refused(fields.integer, True, False)
    all_refused(fields.boolean, 1, 0, "true", None, [], "")
    passes(fields.boolean, True, False)


def test_names_end_at_their_limit():
    passes(fields.name, "a", "0", "a-b_c", "a" * MAX_NAME)
    all_refused(fields.name, "", "a" * (MAX_NAME + 1))


def test_names_that_lead_out_of_a_folder_are_refused():
    all_refused(fields.name, "../../etc/x", "/etc/passwd", "..", ".", "a/b", "a\\b", "a.b", "~")


def test_names_with_control_characters_are_refused():
    all_refused(fields.name, "a\0", "\0", "a\n", "a\nb", "a\r", "a\x1b[2J", "a b", "a\t")


def test_names_that_break_topics_or_options_are_refused():
    all_refused(fields.name, "+", "#", "a+", "$sys", "-a", "_a", "--help")


def test_names_in_other_letters_are_refused():
    all_refused(fields.name, "Digits", "\xe9", "\u0430", "\u0661", "\uff41", 1, True, None, ["a"])


def test_sha256_is_64_lower_case_hex_digits():
    passes(fields.sha256, SHA256, "0" * 64)
    all_refused(
        fields.sha256,
        SHA256.upper(),
        SHA256[1:],
        SHA256 + "0",
        "g" + SHA256[1:],
        SHA256[1:] + "\n",
        "0x" + SHA256[2:],
        "",
        0,
        None,
        ["0"] * 64,
    )


def test_text_is_one_line_and_ends_at_its_limit():
    passes(fields.text, "", "v1.2 \u2013 r\xe9sum\xe9 \xd7 2 %s {0}", "x" * MAX_TEXT)
    all_refused(fields.text, "x" * (MAX_TEXT + 1), 1, None, ["x"])


def test_text_that_would_move_a_terminal_is_refused():
    all_refused(fields.text, "a\nb", "a\r", "\x1b[31m", "\x9b31m", "\0", "\x7f", "\t", "\x85")


def test_text_that_would_break_or_reverse_a_line_is_refused():
    all_refused(fields.text, "a\u2028b", "a\u2029b", "\u202egnp.exe", "\u2066x", "\u2069")
    passes(fields.text, "\u2027\u202f\u2065\u206a")


def test_text_with_surrogates_or_noncharacters_is_refused():
    all_refused(fields.text, "\ufffe", "\uffff")
    passes(fields.text, "\ufffd")


def test_tokens_are_words_of_a_vocabulary():
    passes(fields.token, "CONV_2D", "tflite>=2.14", "edgetpu", "digits/labels", "x" * MAX_NAME)
    all_refused(fields.token, "", "x" * (MAX_NAME + 1), "a b", "a\n", "a\0", "a,b", "\xe9", 1, None)


def test_urls_are_http_or_https_with_a_host():
    passes(
        fields.url,
        "http://h",
        "https://files.example.org:8443/a/b%20c",
        "http://192.0.2.1",
        "http://[2001:db8::1]:80/x",
    )
    all_refused(
        fields.url,
        "file:///etc/passwd",
        "file://h/x",
        "ftp://h/x",
        "javascript:alert(1)",
        "HTTP://h",
        "http://:80/x",
        "http:h",
        "http:/h",
        "//h/x",
        "h/x",
        "http://",
        "http:///x",
        "",
        None,
        1,
        ["http://h"],
    )


def test_urls_with_a_user_or_password_are_refused():
    all_refused(
        fields.url, "http://user:password@h/x", "http://user@h", "http://@h", "http://a@b@h"
    )


def test_urls_that_would_break_a_request_are_refused():
    all_refused(
        fields.url,
        "http://h/x\r\nHost: other",
        "http://h/a b",
        "http://h/\0",
        "http://h/\xe9",
        "http://h\\@other/",
        "http://h/?q=1",
        "http://h/#x",
        "http://h\n/",
    )


def test_urls_end_at_their_limit():
    start = "http://h/"
    passes(fields.url, start + "x" * (MAX_URL_CHARACTERS - len(start)))
    all_refused(fields.url, start + "x" * (MAX_URL_CHARACTERS - len(start) + 1))


# Every character by itself. MicroPython keeps each for ever, so it is asked for fewer.
LAST = 0x10080 if hasattr(str, "isprintable") else 0x180
CODES = list(range(LAST)) + [0x2027, 0x2028, 0x202E, 0x202F, 0x2065, 0x2066, 0x2069, 0x206A]
CODES += [0xD7FF, 0xE000, 0xFFFD, 0xFFFE, 0xFFFF, 0x10000, 0x1F600, 0x10FFFF]
DIGITS = "0123456789"
SMALL = "abcdefghijklmnopqrstuvwxyz"


def accepted_characters(rule, before="", after=""):
    found = set()
    for code in CODES:
        try:
            rule(before + chr(code) + after, "field")
            found.add(code)
        except DocumentError:
            pass
    return found


def codes(letters):
    return {ord(letter) for letter in letters}


def test_every_character_of_a_name():
    assert accepted_characters(fields.name) == codes(SMALL + DIGITS)
    assert accepted_characters(fields.name, "a") == codes(SMALL + DIGITS + "-_")


def test_every_character_of_a_word_and_of_a_hash():
    letters = SMALL + SMALL.upper() + DIGITS
    assert accepted_characters(fields.token) == codes(letters + "_.-+/=>")
    assert accepted_characters(fields.sha256, SHA256[1:]) == codes("0123456789abcdef")
    assert accepted_characters(fields.keyid, "0000000") == codes("0123456789abcdef")


def test_every_character_of_a_text():
    refused_ones = codes("\x7f")
    for first, last in (
        (0, 0x1F),
        (0x80, 0x9F),
        (0x2028, 0x202E),
        (0x2066, 0x2069),
        (0xD800, 0xDFFF),
        (0xFFFE, 0x10FFFF),
    ):
        refused_ones.update(code for code in CODES if first <= code <= last)
    assert accepted_characters(fields.text) == set(CODES) - refused_ones


def test_every_character_of_a_url():
    letters = SMALL + SMALL.upper() + DIGITS + "!$%&'()*+,-.:;=[]_~"
    assert accepted_characters(fields.url, "http://h/") == codes(letters + "/@")
    assert accepted_characters(fields.url, "http://h") == codes(letters + "/")
    assert accepted_characters(fields.url, "http://", "h") == codes(letters) - codes(":")
    assert accepted_characters(fields.url, "", "ttp://h") == codes("h")


# What may be ignored.


def test_extra_takes_words_numbers_and_booleans_and_once_more_in_lists_and_objects():
    passes(
        fields.extra,
        {},
        {"site": "north", "night": True, "watts": -5},
        {"battery": {"least_percent": 20, "ask": False}, "zones": ["a", 1, True], "none": []},
        {"a.b-c/d": "", "n": MAX_SEQ, "m": -MAX_SEQ},
    )


def test_extra_that_is_no_object_or_is_nested_deeper_is_refused():
    all_refused(fields.extra, None, [], "x", 1, True)
    all_refused(fields.extra, {"a": {"b": {}}}, {"a": [[]]}, {"a": [{}]}, {"a": {"b": []}})


def test_extra_with_values_or_keys_of_another_kind_is_refused():
    all_refused(fields.extra, {"a": None}, {"a": 1.0}, {"a": [None]}, {"a": {"b": 1e999}})
    all_refused(fields.extra, {"a": 2**53}, {"a": "x" * (MAX_TEXT + 1)}, {"a": "\x1b[2J"})
    all_refused(fields.extra, {"": 1}, {"a b": 1}, {"\x1b": 1}, {"x" * (MAX_NAME + 1): 1})
    all_refused(fields.extra, {"a": {"a b": 1}}, {"a": {"\u202e": 1}}, {"a": ["\u202e"]})


def test_extra_ends_at_its_number_of_entries():
    many = {"k%d" % number: True for number in range(MAX_EXTRA_ENTRIES)}
    passes(fields.extra, many, {"a": [1] * MAX_EXTRA_ENTRIES})
    many["more"] = True
    all_refused(fields.extra, many, {"a": many}, {"a": [1] * (MAX_EXTRA_ENTRIES + 1)})


def test_extra_ends_at_its_characters_in_all():
    words = ["x" * MAX_TEXT] * (MAX_EXTRA_CHARACTERS // MAX_TEXT)
    left = MAX_EXTRA_CHARACTERS - len(words) * MAX_TEXT - len("words") - len("rest")
    passes(fields.extra, {"words": words, "rest": "y" * left})
    all_refused(fields.extra, {"words": words, "rest": "y" * (left + 1)})
    all_refused(fields.extra, {"words": words, "rest": {"y": "y" * left}})
