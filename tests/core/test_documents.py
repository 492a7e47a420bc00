"""Tests every field of every document: its type, its range, and that it is required."""

from modelwave_shared import documents
from modelwave_shared.errors import DocumentError, JsonError
from modelwave_shared.limits import MAX_BYTES
from modelwave_shared.rules import PRINTABLE
from modelwave_shared.words import HEARTBEAT, MANIFEST, METRICS, ORDER, REPORT, ROOT
from tests.core.helpers import (
    KINDS,
    SHA256,
    accepted,
    changed,
    check,
    none_accepted,
    payload,
    reading,
    refused,
    sample,
)


def fields_of(value, path=""):
    """The path of every field, also inside objects and lists."""
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(entries):
        yield path + str(key)
        if isinstance(inner, (dict, list)):
            yield from fields_of(inner, path + str(key) + ".")


def test_the_samples_are_good():
    for kind in KINDS:
        assert sample(kind)


def test_every_field_of_every_document_refuses_another_type():
    for kind in KINDS:
        for path in fields_of(sample(kind)):
            none_accepted(kind, path, None, 1.5)


MAY_BE_NEGATIVE = ("latency.log", "numbers.power_mw.5")  # logarithms


def test_every_field_of_every_document_refuses_a_negative_number():
    for kind in KINDS:
        for path in fields_of(sample(kind)):
            none_accepted(kind, path, -(2**63))
            if kind != METRICS or path not in MAY_BE_NEGATIVE:
                none_accepted(kind, path, -1)


def test_every_number_refuses_true_and_2_to_the_63():
    for kind in KINDS:
        document = sample(kind)
        for path in fields_of(document):
            if kind + "." + path != "order.shadow":
                none_accepted(kind, path, True)
            none_accepted(kind, path, 2**63)


def test_every_object_refuses_an_unknown_field():
    objects = {
        ROOT: ("roles", "roles.order"),
        MANIFEST: ("needs", "tolerance", "lineage", "files.0"),
        ORDER: ("trial",),
        HEARTBEAT: (),
        REPORT: ("free", "models.digits"),
        METRICS: ("latency", "shadow"),
    }
    for kind in KINDS:
        none_accepted(kind, "condition", "x", None)
        for path in objects[kind]:
            none_accepted(kind, path + ".condition", "x")


OPTIONAL = {kind: ["v"] for kind in KINDS}
OPTIONAL[REPORT] = ["v", "reads", "install"]  # an older agent does not send the last two
# Of older agents; the last of them, because what is measured belongs to a window.
OPTIONAL[METRICS] = [
    "v",
    "install",
    "windows",
    "seconds",
    "latency",
    "confidence",
    "classes",
    "classes_rest",
    "numbers",
    "shadow",
    "age_seconds",
    "window",
]


def test_every_top_level_field_must_be_there_unless_it_is_optional():
    for kind in KINDS:
        for field in sample(kind):
            if field in OPTIONAL[kind]:
                continue
            document = sample(kind)
            del document[field]
            message = refused(DocumentError, check, kind, document)
            assert message.startswith(kind + "." + field), message


def test_optional_fields_may_be_absent():
    for kind in KINDS:
        document = sample(kind)
        for field in OPTIONAL[kind]:
            document.pop(field, None)
        check(kind, document)


ODD = (
    (None, True, False, 0, 1, -1, 8, 9, 999, 1000, 10**6, 2**31, 2**53, 2**63, 10**400)
    + (0.0, 1.5, -1e300, 1e999, float("nan"))
    + ("", " ", "a", "-a", "a\n", "\0", "\x1b[2J", "\x7f", "\xe9", "\u202e", "\ufffe", "x" * 4000)
    + ("device", "labels", "model", "trial", "SUCCEEDED", "http://h", "http://u:p@h", "HTTP://h")
    + ([], {}, [[]], [{}], [0, 1], [1, 0], ["a"] * 100, {"a": 1}, {"\x1b": 1}, {"kind": []})
    + ({"kind": "labels"}, {"kind": "outputs", "steps": 1}, {"x" * 4000: {}})
)


def test_whatever_stands_in_a_place_is_taken_or_refused_in_one_short_printable_line():
    for kind in KINDS:
        for path in list(fields_of(sample(kind))) + ["v", "extra", "strange"]:
            for odd in ODD:
                try:
                    check(kind, changed(kind, path, odd))
                except DocumentError as error:
                    message = str(error)
                    assert message.startswith(kind + "."), message
                    assert len(message) < 300, message
                    assert not message.strip(PRINTABLE), message


def test_documents_that_are_no_objects_are_refused():
    for kind in KINDS:
        for value in (None, [], "x", 1, True, [{}]):
            refused(DocumentError, check, kind, value)


def test_one_kind_is_not_read_as_another():
    for kind in KINDS:
        for other in KINDS:
            if other != kind:
                refused(DocumentError, reading(other).read, other, payload(kind))


def test_numbers_that_are_not_integers_are_refused_while_parsing():
    size = b'"seq":7'
    text = payload(ORDER)
    assert text.count(size) == 1
    for bad in (b"1e999", b"1.0", b"007", b"9" * 4000, b"NaN", b"-0", b"%d" % 2**63):
        refused(JsonError, documents.read, ORDER, text.replace(size, b'"seq":' + bad))
    for bad in (b"true", b"-1", b"0", b"null", b'"7"'):
        refused(DocumentError, documents.read, ORDER, text.replace(size, b'"seq":' + bad))


def test_sizes_end_at_their_limit():
    last = changed(MANIFEST, "needs.flash", MAX_BYTES)
    last["files"][0]["size"] = MAX_BYTES - last["files"][1]["size"]
    check(MANIFEST, last)
    none_accepted(MANIFEST, "files.0.size", 0, MAX_BYTES + 1, 1.0, "7")


def test_hashes_in_another_form_are_refused():
    for path in ("files.0.sha256", "files.1.sha256"):
        none_accepted(MANIFEST, path, SHA256.upper(), SHA256[1:], "x" * 64, "")
    none_accepted(ORDER, "manifest", SHA256.upper(), SHA256[1:], "x" * 64, "")
    none_accepted(REPORT, "models.digits.sha256", SHA256.upper(), SHA256[1:], "x" * 64)


def test_names_that_are_paths_are_refused():
    for kind, path in (
        (ROOT, "fleet"),
        (MANIFEST, "fleet"),
        (MANIFEST, "model"),
        (MANIFEST, "target"),
        (ORDER, "fleet"),
        (ORDER, "model"),
        (ORDER, "target"),
        (REPORT, "target"),
        (METRICS, "model"),
    ):
        none_accepted(kind, path, "../../etc/x", "/etc/x", "a\0", "a\n", "a/b", "+", "#", "", "A")
    none_accepted(REPORT, "models", {"../x": sample(REPORT)["models"]["digits"]})
    none_accepted(ROOT, "minimum", {"../x": 1}, {"digits": 0}, {"digits": True}, {"a\n": 1})


def test_a_target_named_device_would_be_a_branch_of_the_topics():
    none_accepted(ORDER, "target", "device")
    none_accepted(MANIFEST, "target", "device")
    none_accepted(REPORT, "target", "device")
    accepted(ORDER, "target", "devices")


def test_urls_of_other_schemes_or_with_a_password_are_refused():
    none_accepted(
        ORDER, "urls", ["file:///etc/x"], ["http://user:password@h"], [], ["http://h"] * 5
    )
    none_accepted(ORDER, "urls", ["http://h", "ftp://h"], "http://h", [1])
