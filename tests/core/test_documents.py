"""The documents: each field's type and range, and the rules between fields."""

import json

from modelwave_shared import documents, dsse
from modelwave_shared.documents import MANIFEST, METRICS, ORDER, REPORT, ROOT
from modelwave_shared.fields import DocumentError
from modelwave_shared.limits import MAX_BYTES, MAX_SEQ, MAX_SIGNATURES
from modelwave_shared.strict_json import JsonError
from tests.core import signed
from tests.core.helpers import refused

SHA256 = "0123456789abcdef" * 4
UNSIGNED = {
    REPORT: {
        "boot": 1,
        "n": 2,
        "target": "linux-cpu",
        "agent": "0.1.0",
        "free": {"flash": 1000, "ram": 1000},
        "runtime": "tflite",
        "runtime_version": "2.14.0",
        "accelerator": "",
        "refused": "",
        "models": {
            "digits": {
                "release": 0,
                "sha256": "",
                "state": "idle",
                "epoch": 0,
                "seq": 0,
                "outcome": "",
                "reason": "",
            }
        },
    },
    METRICS: {
        "boot": 1,
        "n": 2,
        "model": "digits",
        "release": 3,
        "inferences": 10,
        "failures": 1,
        "labelled": 5,
        "correct": 4,
    },
}
ENVELOPES = {ROOT: signed.ROOT, MANIFEST: signed.MANIFEST, ORDER: signed.ORDER}


def payload(kind):
    if kind in ENVELOPES:
        return dsse.read(ENVELOPES[kind]).payload
    return json.dumps(UNSIGNED[kind]).encode()


def sample(kind):
    """A good document, fresh to be spoiled."""
    return documents.read(kind, payload(kind))


def changed(kind, path, value):
    """The sample with another value at a path such as "trial.seconds"; an index is a name."""
    document = place = sample(kind)
    steps = path.split(".")
    for step in steps[:-1]:
        place = place[int(step) if step.isdigit() else step]
    last = steps[-1]
    place[int(last) if last.isdigit() else last] = value
    return document


def accepted(kind, path, *values):
    for value in values:
        documents.check(kind, changed(kind, path, value))


def all_refused(kind, path, *values):
    for value in values:
        message = refused(DocumentError, documents.check, kind, changed(kind, path, value))
        assert message.startswith(kind + "."), message


def fields_of(value, path=""):
    """The path of every field, also inside objects and lists."""
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(entries):
        yield path + str(key)
        if isinstance(inner, (dict, list)):
            yield from fields_of(inner, path + str(key) + ".")


def test_the_samples_are_good():
    for kind in documents.TABLES:
        assert sample(kind)


def test_every_field_of_every_document_refuses_another_type():
    for kind in documents.TABLES:
        for path in fields_of(sample(kind)):
            all_refused(kind, path, None, 1.5)


def test_every_field_of_every_document_refuses_a_negative_number():
    for kind in documents.TABLES:
        for path in fields_of(sample(kind)):
            all_refused(kind, path, -1, -(2**63))


def test_every_number_refuses_true_and_2_to_the_63():
    for kind in documents.TABLES:
        document = sample(kind)
        for path in fields_of(document):
            if kind + "." + path != "order.shadow":
                all_refused(kind, path, True)
            all_refused(kind, path, 2**63)


def test_every_object_refuses_an_unknown_field():
    objects = {
        ROOT: ("roles", "roles.order"),
        MANIFEST: ("needs", "tolerance", "lineage", "files.0"),
        ORDER: ("trial",),
        REPORT: ("free", "models.digits"),
        METRICS: (),
    }
    for kind in documents.TABLES:
        all_refused(kind, "condition", "x", None)
        for path in objects[kind]:
            all_refused(kind, path + ".condition", "x")


def test_every_top_level_field_must_be_there():
    for kind in documents.TABLES:
        for field in sample(kind):
            document = sample(kind)
            del document[field]
            message = refused(DocumentError, documents.check, kind, document)
            assert message.startswith(kind + "." + field), message


def test_documents_that_are_no_objects_are_refused():
    for kind in documents.TABLES:
        for value in (None, [], "x", 1, True, [{}]):
            refused(DocumentError, documents.check, kind, value)


def test_one_kind_is_not_read_as_another():
    for kind in documents.TABLES:
        for other in documents.TABLES:
            if other != kind:
                refused(DocumentError, documents.read, other, payload(kind))


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
    documents.check(MANIFEST, last)
    all_refused(MANIFEST, "files.0.size", 0, MAX_BYTES + 1, 1.0, "7")


def test_hashes_in_another_form_are_refused():
    for path in ("files.0.sha256", "files.1.sha256"):
        all_refused(MANIFEST, path, SHA256.upper(), SHA256[1:], "x" * 64, "")
    all_refused(ORDER, "manifest", SHA256.upper(), SHA256[1:], "x" * 64, "")
    all_refused(REPORT, "models.digits.sha256", SHA256.upper(), SHA256[1:], "x" * 64)


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
        all_refused(kind, path, "../../etc/x", "/etc/x", "a\0", "a\n", "a/b", "+", "#", "", "A")
    all_refused(REPORT, "models", {"../x": sample(REPORT)["models"]["digits"]})
    all_refused(ROOT, "minimum", {"../x": 1}, {"digits": 0}, {"digits": True}, {"a\n": 1})


def test_a_target_named_device_would_be_a_branch_of_the_topics():
    all_refused(ORDER, "target", "device")
    all_refused(MANIFEST, "target", "device")
    all_refused(REPORT, "target", "device")
    accepted(ORDER, "target", "devices")


def test_urls_of_other_schemes_or_with_a_password_are_refused():
    all_refused(ORDER, "urls", ["file:///etc/x"], ["http://user:password@h"], [], ["http://h"] * 5)
    all_refused(ORDER, "urls", ["http://h", "ftp://h"], "http://h", [1])


# The root.


def test_root_key_under_another_id_is_refused():
    root = sample(ROOT)
    ids = list(root["keys"])
    root["keys"][ids[0]], root["keys"][ids[1]] = root["keys"][ids[1]], root["keys"][ids[0]]
    assert "not the id of its key" in refused(DocumentError, documents.check, ROOT, root)


def test_root_threshold_of_zero_is_refused():
    for role in ("root", "release", "order"):
        all_refused(ROOT, "roles." + role + ".threshold", 0)


def test_root_threshold_above_its_keys_is_refused():
    accepted(ROOT, "roles.root.threshold", 1, 2, 3)
    all_refused(ROOT, "roles.root.threshold", 4)
    all_refused(ROOT, "roles.order.threshold", 2)


def test_root_threshold_above_what_an_envelope_can_carry_is_refused():
    root = sample(ROOT)
    keys = [bytes([number] * 32) for number in range(MAX_SIGNATURES + 1)]
    root["keys"].update({dsse.keyid(key): "".join(f"{c:02x}" for c in key) for key in keys})
    root["roles"]["order"]["keyids"] = [dsse.keyid(key) for key in keys]
    root["roles"]["order"]["threshold"] = MAX_SIGNATURES
    documents.check(ROOT, root)
    root["roles"]["order"]["threshold"] = MAX_SIGNATURES + 1
    refused(DocumentError, documents.check, ROOT, root)


def test_root_role_with_the_same_key_twice_is_refused():
    root = sample(ROOT)
    root["roles"]["order"]["keyids"] *= 2
    assert "twice" in refused(DocumentError, documents.check, ROOT, root)


def test_root_role_with_a_key_that_is_not_in_the_root_is_refused():
    all_refused(ROOT, "roles.order.keyids", ["00000000"], [], ["7599776C"], ["7599776c0"])


def test_root_without_a_role_is_refused():
    for role in ("root", "release", "order"):
        root = sample(ROOT)
        del root["roles"][role]
        refused(DocumentError, documents.check, ROOT, root)
    all_refused(ROOT, "keys", {})


def test_role_keys_are_those_of_the_documents_signer():
    root = sample(ROOT)
    assert documents.role_keys(root, ORDER) == ({"7599776c": signed.ORDER_KEY}, 1)
    keys, threshold = documents.role_keys(root, ROOT)
    assert (len(keys), threshold) == (3, 2)


# The manifest.


def test_manifest_names_one_model_one_golden_and_at_most_one_labels():
    manifest = sample(MANIFEST)
    model, golden = manifest["files"]
    labels = {"role": "labels", "sha256": SHA256, "size": 1}
    manifest["needs"]["flash"] = 1000
    for files in ([model, golden], [golden, model], [model, golden, labels]):
        manifest["files"] = files
        documents.check(MANIFEST, manifest)
    for files in (
        [],
        [model],
        [golden, labels],
        [model, labels],
        [model, model],
        [model, golden, golden],
        [model, golden, labels, labels],
    ):
        manifest["files"] = files
        refused(DocumentError, documents.check, MANIFEST, manifest)


def test_manifest_needs_at_least_the_flash_of_its_files():
    total = sum(entry["size"] for entry in sample(MANIFEST)["files"])
    accepted(MANIFEST, "needs.flash", total, total + 1)
    all_refused(MANIFEST, "needs.flash", total - 1, 0)


def test_needs_that_are_negative_absent_or_above_the_limit_are_refused():
    for field in ("flash", "ram"):
        all_refused(MANIFEST, "needs." + field, -1, MAX_BYTES + 1, 2**32, True, "1", None)
    accepted(MANIFEST, "needs.ram", 0, MAX_BYTES)
    for field in ("flash", "ram", "kernels", "runtime", "accelerator"):
        manifest = sample(MANIFEST)
        del manifest["needs"][field]
        message = refused(DocumentError, documents.check, MANIFEST, manifest)
        assert message == "manifest.needs." + field + ": missing"


def test_needs_that_are_no_words_are_refused():
    all_refused(MANIFEST, "needs.kernels", ["a b"], ["ADD"] * 65, "ADD", [1], [""])
    all_refused(MANIFEST, "needs.runtime", "", "a b", 1, ["tflite"])
    all_refused(MANIFEST, "needs.accelerator", "a b", 1, None)
    accepted(MANIFEST, "needs.kernels", [], ["CONV_2D"], ["ADD"] * 64)
    accepted(MANIFEST, "needs.accelerator", "", "edgetpu")


def test_tolerance_has_the_fields_of_its_kind_only():
    accepted(MANIFEST, "tolerance", {"kind": "outputs", "steps": {"any": 0, "tflite-runtime": 3}})
    accepted(MANIFEST, "tolerance", {"kind": "labels", "least_ppm": 0})
    accepted(MANIFEST, "tolerance", {"kind": "labels", "least_ppm": 1000000})
    all_refused(
        MANIFEST,
        "tolerance",
        {},
        {"kind": "outputs"},
        {"kind": "labels"},
        {"kind": "none"},
        {"kind": "labels", "steps": {"any": 0}},
        {"kind": "outputs", "least_ppm": 1},
        {"kind": "labels", "least_ppm": 1, "steps": {"any": 0}},
        {"kind": "labels", "least_ppm": 1000001},
        {"kind": "labels", "least_ppm": -1},
        {"kind": "outputs", "steps": {}},
        {"kind": "outputs", "steps": {"any": -1}},
        {"kind": "outputs", "steps": {"any": True}},
        {"kind": "outputs", "steps": {"a b": 0}},
        {"kind": ["labels"], "least_ppm": 1},
    )


def test_release_numbers_start_at_one():
    all_refused(MANIFEST, "release", 0, 2**31, True, "1")
    accepted(MANIFEST, "release", 1, 2**31 - 1)


# The order.


def test_order_is_for_slots_or_for_one_device_and_not_for_both():
    order = sample(ORDER)
    del order["slots"]
    refused(DocumentError, documents.check, ORDER, order)
    order["device"] = "pump-1"
    documents.check(ORDER, order)
    all_refused(ORDER, "device", "pump-1")


def test_order_slots_are_ranges_that_rise():
    accepted(ORDER, "slots", [[0, 0]], [[0, 999]], [[3, 4], [1, 2]], [[7, 7]] * 16)
    all_refused(
        ORDER,
        "slots",
        [],
        [[2, 1]],
        [[0, 1000]],
        [[-1, 0]],
        [[0]],
        [[0, 1, 2]],
        [0, 1],
        [[0, True]],
        [[7, 7]] * 17,
        {"0": [0, 1]},
    )


def test_order_that_expires_when_it_is_issued_is_refused():
    issued = sample(ORDER)["issued"]
    accepted(ORDER, "expires", issued + 1, 2**40)
    all_refused(ORDER, "expires", issued, issued - 1, 0, 2**40 + 1)


def test_order_sequence_ends_where_json_numbers_are_exact():
    accepted(ORDER, "seq", 1, MAX_SEQ)
    all_refused(ORDER, "seq", 0, MAX_SEQ + 1)


def test_order_trial_and_shadow_keep_their_types():
    all_refused(ORDER, "trial", {}, {"seconds": 1}, {"inferences": 1}, [], None)
    all_refused(ORDER, "trial.seconds", 7 * 86400 + 1, 1.0, "1")
    all_refused(ORDER, "shadow", 0, 1, "false", None)


# What a device says.


def test_report_outcomes_and_states_are_the_agreed_words():
    accepted(REPORT, "models.digits.outcome", "")
    for outcome in documents.OUTCOMES:
        accepted(REPORT, "models.digits.outcome", outcome)
    all_refused(REPORT, "models.digits.outcome", "TIMED_OUT", "succeeded", None, 0)
    for state in documents.STATES:
        accepted(REPORT, "models.digits.state", state)
    all_refused(REPORT, "models.digits.state", "", "running", "Idle")


def test_report_with_terminal_escapes_in_its_words_is_refused():
    for path in ("agent", "refused", "models.digits.reason", "runtime", "accelerator"):
        all_refused(REPORT, path, "\x1b[2J", "a\r\nb", "\x9b2J")


def test_report_with_too_many_models_is_refused():
    one = sample(REPORT)["models"]["digits"]
    accepted(REPORT, "models", {}, {f"m{n}": one for n in range(16)})
    all_refused(REPORT, "models", {f"m{n}": one for n in range(17)}, [], None)
