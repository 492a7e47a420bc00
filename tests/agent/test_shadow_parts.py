"""The parts of a shadow that need no process: what agrees, what ends it, and its windows."""

import json
import math
import struct

import pytest

from modelwave_agent import ports
from modelwave_agent.host.shadow_messages import (
    FAILED,
    LOADED,
    MAX_TEXT_BYTES,
    NO_CLASS,
    RAN,
    Answer,
    read_answer,
)
from modelwave_agent.host.shadow_tally import LAST_RUNS, LEAST_RUNS, Tally
from modelwave_agent.host.shadow_windows import HostObservations
from modelwave_agent.types import MAX_UNSENT, Enrolment
from modelwave_shared import reports
from modelwave_shared.limits import MAX_TEXT
from modelwave_shared.window_format import MAX_METRICS_BYTES
from modelwave_shared.words import METRICS
from tests.signing import root

LABELS = {"kind": "labels", "least_ppm": 900_000}
STEPS = {"kind": "outputs", "steps": {"tflite-runtime": 2}}
BUDGET = {"latency_us": 5000, "ram": 10**8}
GOOD = Answer(RAN, True, 3, 4.0, 60_000_000)
BAD = Answer(FAILED, text="a node failed to invoke")


@pytest.mark.parametrize(
    ("output", "live", "tolerance", "agree"),
    [
        ("i1 1 5 2", "i1 0 9 3", LABELS, True),
        ("i1 1 5 2", "i1 9 0 3", LABELS, False),
        ("f4 .1 .8 .1", "i1 0 9 3", LABELS, True),  # the candidate is quantised in another way
        ("f4 .1 nan .1", "f4 .1 .8 .1", LABELS, False),
        ("f4 .1 .8 .1", "f4 nan .8 .1", LABELS, False),
        ("i1 1 5 2", "i1 3 5 0", STEPS, True),
        ("i1 1 5 2", "i1 4 5 2", STEPS, False),
        ("i1 127", "i1 -128", STEPS, False),  # no overflow
        ("u1 0", "u1 255", STEPS, False),
        ("f4 1", "f4 1.000002", STEPS, True),
        ("f4 1", "f4 1.000003", STEPS, False),
        ("f4 nan", "f4 1", STEPS, False),
        ("f4 inf", "f4 inf", STEPS, True),  # the same bytes
        ("f4 inf", "f4 1", STEPS, False),
        ("i1 1", "i2 1", STEPS, False),
        ("i1 1 2", "i1 1", STEPS, False),
        ("S3 abc", "S3 abc", STEPS, True),
        ("S3 abc", "S3 abd", LABELS, False),
        ("i1 1", "i1 1", {"kind": "outputs", "steps": {"microlite": 1}}, True),
        ("i1 1", "i1 2", {"kind": "outputs", "steps": {"microlite": 1}}, False),
    ],
)
def test_outputs_agree_by_the_tolerance_of_the_manifest(output, live, tolerance, agree):
    numpy = pytest.importorskip("numpy")
    from modelwave_agent.host import agreement

    def array(text):
        kind, *values = text.split()
        return numpy.array([v if kind[0] == "S" else float(v) for v in values], kind)

    outputs, others = {"a": array(output)}, {"b": array(live)}
    assert agreement.agree(outputs, others, tolerance, "tflite-runtime") is agree


DETECTOR = {
    "kind": "tensors",
    "outputs": {
        "boxes": {
            "judge": "boxes",
            "classes": "classes",
            "scores": "scores",
            "count": "count",
            "iou_ppm": 500_000,
            "score_ppm": 100_000,
            "least_ppm": 600_000,
        },
        "where": {"judge": "elements", "absolute": {"any": 1}, "relative": {"any": 10_000}},
        "kind": {"judge": "labels", "least_ppm": 900_000},
    },
}


@pytest.mark.parametrize(
    ("changes", "agree", "by_classes"),
    [
        ({}, True, True),
        ({"boxes": [[0, 0, 1, 1.2], [5, 5, 7, 7]]}, True, True),
        ({"boxes": [[5, 5, 7, 7], [0, 0, 1, 1]], "scores": [0.8, 0.9]}, False, False),  # classes
        ({"boxes": [[0, 0, 1, 1], [5, 5, 7, 10]]}, False, False),  # one of two is 50 %
        ({"scores": [0.9, 0.6]}, False, False),
        ({"count": [1]}, False, False),
        ({"boxes": [[0, 0, 1, 1]]}, False, False),  # another shape
        ({"where": [202]}, True, True),  # 1 % of 200
        ({"where": [204]}, False, True),
        ({"where": [float("nan")]}, False, True),
        ({"kind": [0, 9]}, False, False),
        ({"kind": [2, 1]}, True, True),
        ({"kind": None}, False, False),
    ],
)
def test_each_output_of_a_detector_agrees_by_its_judge(changes, agree, by_classes):
    numpy = pytest.importorskip("numpy")
    from modelwave_agent.host import agreement

    live = {
        "boxes": [[0, 0, 1, 1], [5, 5, 7, 7]],
        "classes": [1, 2],
        "scores": [0.9, 0.8],
        "count": [2],
        "where": [200],
        "kind": [3, 1],
    }
    made = {
        name: numpy.float32(values)
        for name, values in (live | changes).items()
        if values is not None
    }
    arrays = {name: numpy.float32(values) for name, values in live.items()}
    assert agreement.agree(made, arrays, DETECTOR, "tflite-runtime") is agree
    classes = agreement.by_classes(DETECTOR)
    assert agreement.agree(made, arrays, classes, "tflite-runtime") is by_classes
    assert agreement.predicted(arrays, DETECTOR) == agreement.predicted(arrays, classes) == 0
    none, one = ({**arrays, "count": numpy.float32([number])} for number in (0, 1))
    for fewer in (none, one):  # boxes that the live model does not have
        assert agreement.agree(arrays, fewer, DETECTOR, "tflite-runtime") is False
    assert agreement.agree(none, dict(none), DETECTOR, "tflite-runtime") is True


def test_two_networks_of_plain_numbers_agree_by_the_place_of_the_greatest_one():
    pytest.importorskip("numpy")
    from modelwave_agent.host import agreement

    rule = {"judge": "elements", "absolute": {"any": 1}}
    found = agreement.by_classes({"kind": "tensors", "outputs": {"a": rule}})
    assert found == {"kind": "tensors", "outputs": {"a": {"judge": "labels"}}}
    assert agreement.by_classes(STEPS) == {"kind": "labels"}


def test_answer_is_what_was_packed_and_nothing_else_is_one():
    for answer in (GOOD, BAD, Answer(LOADED), Answer(RAN, False, NO_CLASS, 0.5, 2**40)):
        packed = answer.packed()
        assert read_answer(packed) == answer
        for size in range(len(packed)):
            assert read_answer(packed[:size]) is None
        with pytest.raises(ValueError, match="more than one"):
            read_answer(packed + b"x")
    assert len(read_answer(Answer(FAILED, text="\u2028" * 9999).packed()).text) == MAX_TEXT_BYTES
    wild = Answer(RAN, latency_ms=math.nan).packed()
    for data in (bytes(100), b"x" * 100, wild, Answer(RAN, latency_ms=-1).packed()):
        with pytest.raises(ValueError, match="no answer"):
            read_answer(data)
    with pytest.raises(struct.error):
        Answer(-1).packed()


def tally(answers, max_failed_ppm=0, **budget):
    """(Tally, what has ended it)."""
    made = Tally({**BUDGET, **budget}, max_failed_ppm)
    for answer in answers:
        verdict = made.add(answer)
        if verdict:
            return made, verdict
    return made, None


def test_first_failure_ends_a_shadow_and_with_a_share_more_than_it():
    assert tally([GOOD, BAD])[1] == ("unhealthy", "1 of 2 runs failed: a node failed to invoke")
    assert tally([BAD], 100_000)[1] is None
    assert tally([BAD, BAD], 100_000)[1] is None  # of 20, which is too soon to tell
    assert tally([BAD] * 3, 100_000)[1][0] == "unhealthy"
    many, verdict = tally([GOOD] * 40 + [BAD] * 4, 100_000)
    assert verdict is None
    assert many.ended(60, 0)[0] == "shadowed"
    few, verdict = tally([GOOD] * 4 + [BAD], 100_000)
    assert verdict is None
    assert few.ended(60, 0)[0] == "unhealthy"


def test_median_latency_beyond_the_budget_ends_a_shadow_and_an_outlier_does_not():
    slow, late = Answer(RAN, True, 3, 5.01), Answer(RAN, True, 3, 10_000.0)
    assert tally([slow] * LEAST_RUNS)[1] == (
        "over",
        "latency: median 5010 us, 5000 allowed, of 20 runs",
    )
    assert tally([slow] * (LEAST_RUNS - 1))[1] is None
    assert tally([slow] * 3)[0].ended(60, 0)[0] == "over"
    assert tally([GOOD, GOOD, late] * LEAST_RUNS)[1] is None
    assert tally([Answer(RAN, latency_ms=5.0)] * LEAST_RUNS)[1] is None
    # A model that becomes slow is seen, however long it was fast.
    assert tally([GOOD] * 10_000 + [slow] * LAST_RUNS)[1][0] == "over"


def test_end_of_a_shadow_tells_all_that_was_seen_within_a_report():
    made, _ = tally([GOOD] * 3)
    assert made.ended(60, 7) == (
        "shadowed",
        "3 of 3 outputs agree, 0 of 3 runs failed, median 4 ms, 60000000 bytes of RAM, "
        "7 inputs missed",
    )
    for told in (
        Tally(BUDGET, 0).ended(604800, 0)[1],
        Tally(BUDGET, 0).ended(604800, 10**9)[1],
    ):
        assert told.startswith("no input in 604800 s")
    made.runs = made.agreed = 10**9
    assert len("shadow: " + made.ended(604800, 10**9)[1]) <= MAX_TEXT


class Sender(ports.Clock):
    """A device without a connection, and a medium that cannot be written."""

    def __init__(self):
        self.time = self.number = 0
        self.seen = HostObservations(900, self, "/nowhere", Enrolment("pi", "linux-cpu", root()))

    def now(self):
        return self.time

    def numbered(self):
        self.number += 1
        return {"boot": 1, "n": self.number}

    def close(self):
        self.time += 900
        self.seen.close(self.time)

    def sent(self):
        """All documents that wait, as a controller reads them."""
        found = []
        while document := self.seen.next(self.numbered, self.time):
            payload = json.dumps(document).encode()
            assert len(payload) < MAX_METRICS_BYTES
            found.append(reports.read(METRICS, payload))
            self.seen.sent()
        return found


def test_window_of_a_shadow_stands_beside_the_live_one_with_its_number():
    sender = Sender()
    sender.close()
    sender.seen.add("digits", 1, (10, 0, 0, 0))
    for answer in (GOOD, GOOD, Answer(RAN, False, NO_CLASS, 6.0), BAD):
        sender.seen.add_shadow("digits", 2, answer)
    sender.close()
    beside, live = sorted(sender.sent(), key=lambda document: "shadow" not in document)
    assert (live["release"], live["window"], live["inferences"]) == (1, 2, 10)
    assert (beside["release"], beside["window"], beside["seconds"]) == (2, 2, 900)
    assert (beside["inferences"], beside["failures"]) == (4, 1)
    assert beside["shadow"] == {"compared": 3, "agreed": 2}
    assert beside["classes"] == {"3": 2}
    assert sum(beside["latency"]["bins"][1:]) == 3


def test_counts_that_wait_are_in_the_window_that_closes():
    sender = Sender()
    sender.seen.take = lambda: sender.seen.add("digits", 1, (3, 0, 0, 0))
    sender.close()
    (document,) = sender.sent()
    assert (document["window"], document["inferences"]) == (1, 3)


def test_window_of_a_shadow_with_failures_alone_compares_nothing():
    sender = Sender()
    sender.seen.add_shadow("digits", 2, BAD)
    sender.close()
    (document,) = sender.sent()
    assert document["shadow"] == {"compared": 0, "agreed": 0}
    assert (document["inferences"], document["failures"]) == (1, 1)


def test_windows_without_a_connection_are_joined_and_never_a_shadow_with_a_live_one():
    sender = Sender()
    for _ in range(3 * MAX_UNSENT):
        sender.seen.add("digits", 2, (10, 0, 0, 0))
        sender.seen.add_shadow("digits", 2, GOOD)
        sender.close()
    assert len(sender.seen.unsent) == MAX_UNSENT
    documents = sender.sent()
    beside = [document for document in documents if "shadow" in document]
    live = [document for document in documents if "shadow" not in document]
    assert sum(document["inferences"] for document in live) == 10 * 3 * MAX_UNSENT
    assert sum(document["inferences"] for document in beside) == 3 * MAX_UNSENT
    assert sum(document["shadow"]["agreed"] for document in beside) == 3 * MAX_UNSENT
