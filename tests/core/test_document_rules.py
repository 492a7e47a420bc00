"""Tests the conditions between the fields of a root, manifest, order or report."""

from modelwave_shared import documents, dsse, roles
from modelwave_shared.errors import DocumentError
from modelwave_shared.limits import MAX_BYTES, MAX_SEQ, MAX_SIGNATURES
from modelwave_shared.words import MANIFEST, METRICS, ORDER, OUTCOMES, REPORT, ROOT, STATES
from tests.core import signed
from tests.core.helpers import SHA256, accepted, changed, check, none_accepted, refused, sample

# The root.


def test_root_key_under_another_id_is_refused():
    root = sample(ROOT)
    ids = list(root["keys"])
    root["keys"][ids[0]], root["keys"][ids[1]] = root["keys"][ids[1]], root["keys"][ids[0]]
    assert "the id of this key is" in refused(DocumentError, documents.check, ROOT, root)


def test_root_without_its_number_in_the_chain_is_the_first():
    accepted(ROOT, "version", 1, 2, 2**31 - 1)
    none_accepted(ROOT, "version", 0, -1, 2**31, True, "1", None)
    assert "version" not in sample(ROOT)


def test_root_threshold_of_zero_is_refused():
    for role in ("root", "release", "order"):
        none_accepted(ROOT, "roles." + role + ".threshold", 0)


def test_root_threshold_above_its_keys_is_refused():
    accepted(ROOT, "roles.root.threshold", 1, 2, 3)
    none_accepted(ROOT, "roles.root.threshold", 4)
    none_accepted(ROOT, "roles.order.threshold", 2)


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
    none_accepted(ROOT, "roles.order.keyids", ["00000000"], [], ["7599776C"], ["7599776c0"])


def test_root_without_a_role_is_refused():
    for role in ("root", "release", "order"):
        root = sample(ROOT)
        del root["roles"][role]
        refused(DocumentError, documents.check, ROOT, root)
    none_accepted(ROOT, "keys", {})


def test_root_without_a_key_says_how_many_it_may_have():
    for path, empty in (("keys", {}), ("roles.order.keyids", [])):
        said = refused(DocumentError, documents.check, ROOT, changed(ROOT, path, empty))
        assert said.startswith("root.%s: has 0 entries, allowed are 1 to" % path), said


def test_root_of_one_key_and_no_minimum_is_taken():
    root = sample(ROOT)
    key = root["roles"]["order"]["keyids"][0]
    root["keys"] = {key: root["keys"][key]}
    for role in root["roles"].values():
        role["keyids"], role["threshold"] = [key], 1
    root["minimum"] = {}
    documents.check(ROOT, root)


def test_root_expires_from_the_format_that_has_it_on():
    root = changed(ROOT, "expires", 0)
    root["v"] = 2
    documents.check(ROOT, root)
    for older in ({"v": 1}, {}):
        del root["v"]
        root.update(older)
        said = refused(DocumentError, documents.check, ROOT, root)
        assert said == "root.expires: it is of format 2"


def test_root_says_when_it_was_made_and_where_files_may_come_from():
    root = sample(ROOT)
    root["extra"] = {"issued": 0, "file_hosts": []}
    documents.check(ROOT, root)
    for field, bad in (("issued", -1), ("file_hosts", ["/"])):
        root["extra"] = {field: bad}
        said = refused(DocumentError, documents.check, ROOT, root)
        assert said.startswith("root.extra." + field), said


def test_role_keys_are_those_of_the_documents_signer():
    root = sample(ROOT)
    assert roles.role_keys(root, ORDER) == ({"7599776c": signed.ORDER_KEY}, 1)
    keys, threshold = roles.role_keys(root, ROOT)
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
    none_accepted(MANIFEST, "needs.flash", total - 1, 0)


def test_manifest_of_an_image_needs_the_flash_of_the_image_alone():
    for format_ in ("mcuboot-image", "model-partition"):
        manifest = dict(sample(MANIFEST), v=2, format=format_)
        (model,) = [file["size"] for file in manifest["files"] if file["role"] == "model"]
        manifest["needs"] = dict(manifest["needs"], flash=model)
        documents.check(MANIFEST, manifest)
        manifest["needs"]["flash"] = model - 1
        refused(DocumentError, documents.check, MANIFEST, manifest)


def test_needs_that_are_negative_absent_or_above_the_limit_are_refused():
    for field in ("flash", "ram"):
        none_accepted(MANIFEST, "needs." + field, -1, MAX_BYTES + 1, 2**32, True, "1", None)
    accepted(MANIFEST, "needs.ram", 0, MAX_BYTES)
    for field in ("flash", "ram", "kernels", "runtime", "accelerator"):
        manifest = sample(MANIFEST)
        del manifest["needs"][field]
        message = refused(DocumentError, documents.check, MANIFEST, manifest)
        assert message == "manifest.needs." + field + ": missing"


def test_needs_that_are_no_words_are_refused():
    none_accepted(MANIFEST, "needs.kernels", ["a b"], ["ADD"] * 65, "ADD", [1], [""])
    none_accepted(MANIFEST, "needs.runtime", "", "a b", 1, ["tflite"])
    none_accepted(MANIFEST, "needs.accelerator", "a b", 1, None)
    accepted(MANIFEST, "needs.kernels", [], ["CONV_2D"], ["ADD"] * 64)
    accepted(MANIFEST, "needs.accelerator", "", "edgetpu")


def test_tolerance_has_the_fields_of_its_kind_only():
    accepted(MANIFEST, "tolerance", {"kind": "outputs", "steps": {"any": 0, "tflite-runtime": 3}})
    accepted(MANIFEST, "tolerance", {"kind": "labels", "least_ppm": 0})
    accepted(MANIFEST, "tolerance", {"kind": "labels", "least_ppm": 1000000})
    none_accepted(
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


def test_deltas_name_their_base_their_hash_and_their_size():
    delta = {"base": SHA256, "sha256": SHA256, "size": 1}
    accepted(MANIFEST, "deltas", [], [delta], [delta] * 4)
    none_accepted(MANIFEST, "deltas", [delta] * 5, [{}], [None], delta)
    for field in delta:
        for bad in (None, "", -1, 0, SHA256.upper()):
            spoiled = dict(delta)
            spoiled[field] = bad
            none_accepted(MANIFEST, "deltas", [spoiled])


def test_release_numbers_start_at_one():
    none_accepted(MANIFEST, "release", 0, 2**31, True, "1")
    accepted(MANIFEST, "release", 1, 2**31 - 1)


# The order.


def test_order_is_for_slots_or_for_one_device_and_not_for_both():
    order = sample(ORDER)
    del order["slots"]
    refused(DocumentError, documents.check, ORDER, order)
    order["device"] = "pump-1"
    documents.check(ORDER, order)
    none_accepted(ORDER, "device", "pump-1")


def test_order_slots_are_ranges_that_rise():
    accepted(ORDER, "slots", [[0, 0]], [[0, 999]], [[3, 4], [1, 2]], [[7, 7]] * 16)
    none_accepted(
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


BITMAP = "AQIA" + "AAAA" * 40 + "AIA="  # slots 0, 9 and 999


def of_format_2(slots):
    order = changed(ORDER, "slots", slots)
    order["v"] = 2
    return order


def test_order_of_format_2_names_its_slots_by_a_bitmap():
    documents.check(ORDER, of_format_2(BITMAP))
    documents.check(ORDER, of_format_2("/" * 166 + "8="))
    documents.check(ORDER, of_format_2("AAAA" * 41 + "AIA="))
    order = of_format_2(BITMAP)
    del order["slots"]
    refused(DocumentError, documents.check, ORDER, order)
    order["device"] = "pump-1"
    documents.check(ORDER, order)


def test_bitmap_is_the_one_base64_of_125_bytes_with_a_bit():
    for bad in (
        "",
        "=",
        "A" * 168,  # 126 bytes
        BITMAP[:-4],
        BITMAP + "AAAA",
        BITMAP[:-1],
        BITMAP[:-1] + "A",
        BITMAP[:-2] + "B=",  # a bit that the padding leaves
        BITMAP[:-2] + "==",
        BITMAP + "=",
        BITMAP + "\n",
        " " + BITMAP,
        BITMAP[:80] + " " + BITMAP[80:],
        BITMAP[:80] + "-" + BITMAP[81:],
        BITMAP[:80] + "_" + BITMAP[81:],
        BITMAP[:80] + "=" + BITMAP[81:],
        BITMAP[:80] + "\0" + BITMAP[81:],
        BITMAP[:80] + "\xe9" + BITMAP[81:],
        BITMAP[:80] + "\u2713" + BITMAP[80:],
        "AAAA" * 41 + "AAA=",  # no slot
    ):
        message = refused(DocumentError, documents.check, ORDER, of_format_2(bad))
        assert message.startswith("order.slots: "), message
        assert len(message) < 200, message


def test_ranges_are_of_format_1_and_a_bitmap_of_format_2():
    none_accepted(ORDER, "slots", BITMAP)
    explicit = changed(ORDER, "slots", BITMAP)
    explicit["v"] = 1
    refused(DocumentError, documents.check, ORDER, explicit)
    for bad in ([[0, 999]], [[0, 0]] * 17, [], [BITMAP], True, False, None, 1, 2**1000, {}):
        message = refused(DocumentError, documents.check, ORDER, of_format_2(bad))
        assert message.startswith("order.slots"), message


def test_order_that_expires_when_it_is_issued_is_refused():
    issued = sample(ORDER)["issued"]
    accepted(ORDER, "expires", issued + 1, 2**40)
    none_accepted(ORDER, "expires", issued, issued - 1, 0, 2**40 + 1)


def test_order_sequence_ends_where_json_numbers_are_exact():
    accepted(ORDER, "seq", 1, MAX_SEQ)
    none_accepted(ORDER, "seq", 0, MAX_SEQ + 1)


def test_order_trial_and_shadow_keep_their_types():
    none_accepted(ORDER, "trial", {}, {"seconds": 1}, {"inferences": 1}, [], None)
    none_accepted(ORDER, "trial.seconds", 7 * 86400 + 1, 1.0, "1")
    none_accepted(ORDER, "shadow", 0, 1, "false", None)


def test_what_is_known_of_an_orders_extra_keeps_its_type():
    accepted(ORDER, "extra", {}, {"max_failed_ppm": 0}, {"max_failed_ppm": 10**6}, {"later": "x"})
    for wrong in (-1, 10**6 + 1, "1", True):
        none_accepted(ORDER, "extra", {"max_failed_ppm": wrong})
    accepted(ORDER, "extra", {"lift_ban": True}, {"lift_ban": False})
    none_accepted(ORDER, "extra", {"lift_ban": "because"}, {"lift_ban": 1})
    accepted(ORDER, "extra", {"deltas": ["of any kind"]}, {"deltas": ["x"] * 16})
    none_accepted(ORDER, "extra", {"deltas": []}, {"deltas": "x"}, {"deltas": [1]})


SHADOW = {
    "seconds": 60,
    "share_ppm": 10**6,
    "ram": 2**20,
    "latency_us": 1,
    "classes": False,
    "else_trial": False,
}


def test_shadow_of_an_order_has_all_its_budgets_within_their_bounds():
    order = changed(ORDER, "shadow", True)

    def refused_with(shadow):
        order["extra"] = {"shadow": shadow}
        return refused(DocumentError, check, ORDER, order)

    bounds = {
        "seconds": (1, 604800),
        "share_ppm": (1, 10**6),
        "ram": (2**20, 2**31 - 1),
        "latency_us": (1, 10**9),
    }
    for field, (least, most) in bounds.items():
        for good in (least, most):
            order["extra"] = {"shadow": changed_shadow(field, good)}
            check(ORDER, order)
        for bad in (least - 1, most + 1, True, "60", None):
            message = refused_with(changed_shadow(field, bad))
            assert message.startswith("order.extra.shadow." + field), message
    assert "else_trial" in refused_with(changed_shadow("else_trial", 1))
    assert "classes" in refused_with(changed_shadow("classes", 1))
    for field in SHADOW:
        fewer = changed_shadow(field, None)
        del fewer[field]
        assert field in refused_with(fewer)
    assert "an unknown field" in refused_with(changed_shadow("gpu", 1))
    refused_with(True)


def changed_shadow(field, value):
    found = dict(SHADOW)
    found[field] = value
    return found


def test_budgets_of_a_shadow_in_an_order_without_shadow_are_refused():
    # Else a device would put a model on trial that was to run beside the live one.
    order = changed(ORDER, "extra", {"shadow": SHADOW})
    assert "order.shadow is false" in refused(DocumentError, check, ORDER, order)


def test_order_for_a_shadow_without_budgets_can_be_read():
    # Devices refuse it by a reason of its own, as they always did (modelwave_agent/terms.py).
    accepted(ORDER, "shadow", True)


# What a device says.


def test_window_of_a_shadow_compares_no_more_than_was_answered():
    # The sample has 10 inferences, of which 1 failed.
    accepted(METRICS, "shadow", {"compared": 9, "agreed": 9}, {"compared": 0, "agreed": 0})
    none_accepted(
        METRICS,
        "shadow",
        {"compared": 10, "agreed": 9},
        {"compared": 8, "agreed": 9},
        {"compared": 8},
        {"compared": 8, "agreed": 8, "more": 1},
        8,
    )


def test_report_outcomes_and_states_are_the_agreed_words():
    accepted(REPORT, "models.digits.outcome", "")
    for outcome in OUTCOMES:
        accepted(REPORT, "models.digits.outcome", outcome)
    none_accepted(REPORT, "models.digits.outcome", "TIMED_OUT", "succeeded", None, 0)
    accepted(REPORT, "models.digits.saved", 0, 43_460)
    none_accepted(REPORT, "models.digits.saved", -1, "1", None)
    for state in STATES:
        accepted(REPORT, "models.digits.state", state)
    none_accepted(REPORT, "models.digits.state", "", "running", "Idle")


def test_report_with_terminal_escapes_in_its_words_is_refused():
    for path in ("agent", "refused", "models.digits.reason", "runtime", "accelerator"):
        none_accepted(REPORT, path, "\x1b[2J", "a\r\nb", "\x9b2J")


def test_report_with_too_many_models_is_refused():
    one = sample(REPORT)["models"]["digits"]
    accepted(REPORT, "models", {}, {f"m{n}": one for n in range(16)})
    none_accepted(REPORT, "models", {f"m{n}": one for n in range(17)}, [], None)
