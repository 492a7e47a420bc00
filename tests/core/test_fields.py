"""Each check of a single field: what passes its edges and what does not."""

from modelwave_shared import fields
from modelwave_shared.errors import DocumentError
from modelwave_shared.limits import MAX_NAME, MAX_TEXT, MAX_URL_CHARACTERS
from tests.core.helpers import SHA256, refused


def of(spec):
    return lambda value, where: fields.check(spec, value, where)


def all_refused(check, *values):
    for value in values:
        message = refused(DocumentError, check, value, "order.field")
        assert message.startswith("order.field"), message


def passes(check, *values):
    for value in values:
        check(value, "order.field")


def test_error_names_the_field_and_what_is_allowed():
    message = refused(DocumentError, of((1, 9)), 10, "order.seq")
    assert message == "order.seq: an integer from 1 to 9"


def test_integers_keep_their_range():
    passes(of((1, 2**31 - 1)), 1, 2**31 - 1)
    all_refused(of((1, 2**31 - 1)), 0, -1, 2**31, 2**63, 10**4000)


def test_true_is_no_integer_and_1_is_no_boolean():
    all_refused(of((0, 9)), True, False)
    all_refused(fields.boolean, 1, 0, "true", None, [], "")
    passes(fields.boolean, True, False)


def test_floats_texts_and_none_are_no_integers():
    all_refused(of((0, 9)), 1.0, 1e999, float("nan"), "1", None, [1], {})


def test_one_of_takes_only_the_exact_words():
    passes(of(("idle", "trial")), "idle", "trial")
    all_refused(of(("idle", "trial")), "Idle", "", "idl", "idle ", 0, None, ["idle"])


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


def test_lists_keep_their_length_and_name_the_bad_entry():
    check = of([fields.boolean, 1, 2])
    passes(check, [True], [True, False])
    all_refused(check, [], [True] * 3, (True,), {"0": True}, "x", None)
    assert refused(DocumentError, check, [True, 1], "a.b").startswith("a.b[1]: ")


def test_maps_keep_their_size_and_check_keys_and_values():
    check = of([fields.name, (0, 9), 1, 2])
    passes(check, {"a": 1}, {"a": 1, "b": 9})
    all_refused(check, {}, {"a": 1, "b": 1, "c": 1}, [], None, {"../x": 1}, {"a": True}, {"": 1})
    assert refused(DocumentError, check, {"a": 10}, "x").startswith("x.a: ")


def test_records_have_exactly_their_fields():
    check = of({"a": fields.boolean, "b?": fields.boolean})
    passes(check, {"a": True}, {"a": True, "b": False})
    all_refused(check, {}, {"b": True}, {"a": 1}, {"a": True, "c": 1}, {"a": True, "A": True})
    all_refused(check, {"a": True, "b": None}, [], None, "a")
    all_refused(check, {"a": True, "b?": True}, {"a": True, "a?": True})


def test_unknown_field_is_refused_by_name_in_printable_ascii():
    check = of({})
    assert refused(DocumentError, check, {"spare": 1}, "order") == "order.spare: an unknown field"
    message = refused(DocumentError, check, {"\x1b[2J\n\u202e": 1}, "order")
    assert message == "order.?: an unknown field"
    assert len(refused(DocumentError, check, {"x" * 4000: 1}, "order")) < 100
