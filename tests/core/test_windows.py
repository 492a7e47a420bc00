"""Windows: what is measured, that nothing is lost without a connection, and labels that come late;
runs on both Pythons."""

import json
import math

from modelwave_agent.backlog import MAX_APART, check_late, join
from modelwave_agent.measures import MAX_TRACKED, Measures, Number
from modelwave_agent.observations import Observations, checked_sample
from modelwave_agent.types import COUNTS, MAX_UNSENT, Window
from modelwave_shared import reports
from modelwave_shared.limits import MILLION
from modelwave_shared.window_format import (
    BINS,
    MAX_CLASSES,
    MAX_METRICS_BYTES,
    MAX_NUMBERS,
    latency_bin,
    packed,
    unpacked,
)
from modelwave_shared.words import METRICS
from tests.core.helpers import accepted, none_accepted
from tests.core.test_observations import Scalar, problem

SECONDS = 900
# What single precision keeps of a number in millionths.
FEW = 1e-5


class Sender:
    """Observations and a broker that has what was sent. `now`: the device's clock."""

    def __init__(self):
        self.now = 0
        self.number = 0
        self.seen = Observations(SECONDS, self.now)
        self.had = []

    def numbered(self):
        self.number += 1
        return {"boot": 1, "n": self.number, "install": "0123456789abcdef"}

    def windows(self, counts, release=1):
        """A window for each of these numbers of inferences."""
        for count in counts:
            if count:
                self.seen.add("digits", release, [count, 0, 0, 0])
            self.now += SECONDS
            self.seen.close(self.now)

    def try_once(self):
        """The document that is sent, or None; the broker's acknowledgement is lost."""
        document = self.seen.next(self.numbered, self.now)
        if document is None:
            return None
        payload = json.dumps(document).encode()
        assert len(payload) < MAX_METRICS_BYTES, payload
        return reports.read(METRICS, payload)

    def send(self):
        """What is sent now, all of it acknowledged."""
        found = []
        document = self.try_once()
        while document:
            found.append(document)
            self.seen.sent()
            document = self.try_once()
        self.had += found
        return found

    def sum(self, name):
        return sum(document[name] for document in self.had)


def measured(*calls):
    """The document of one window with these calls of observe."""
    sender = Sender()
    for call in calls:
        given = {"confidence": None, "predicted": None, "latency_ms": None, "metrics": None}
        given.update(call)
        sample = checked_sample(**given)
        sender.seen.add("digits", 1, [1, 0, 0, 0], sample)
    sender.windows([0])
    (document,) = sender.send()
    return document


def test_inferences_above_the_limit_of_their_release_are_counted():
    def window(*limits):
        measures = Measures()
        for number, limit_us in enumerate(limits):
            sample = checked_sample(None, None, 10 * (number + 1), None)
            sample.limit_us = limit_us
            measures.add(sample)
        return measures

    measures = window(20000, 20000, 20000, 0)
    assert measures.over == [1, 3]  # 30 ms; the limit itself is not above, 40 ms has none
    measures.join(window(9999))
    assert measures.over == [2, 4]
    (document,) = measures.spread({"n": 1}, dict)
    assert document["latency"]["over"] == [2, 4]
    assert "over" not in measured({"latency_ms": 10})["latency"]


def near(found, wanted):
    return abs(found - wanted) <= max(1, FEW * abs(wanted))


# Windows and their numbers.


def test_window_says_its_number_its_length_and_its_age():
    sender = Sender()
    sender.windows([5, 0, 6])
    sender.now += 12
    first, second = sender.send()
    assert (first["window"], first["seconds"], first["age_seconds"]) == (1, SECONDS, 2 * 900 + 12)
    assert (second["window"], second["seconds"], second["age_seconds"]) == (3, SECONDS, 12)
    assert [document["inferences"] for document in (first, second)] == [5, 6]
    assert "windows" not in first


def test_window_that_only_counts_has_no_empty_parts():
    sender = Sender()
    sender.windows([1])
    (document,) = sender.send()
    wanted = {"boot", "n", "install", "model", "release", "window", "seconds", "age_seconds"}
    assert set(document) == wanted | set(COUNTS)


def test_releases_that_ran_in_one_window_are_sent_apart():
    sender = Sender()
    sender.seen.add("digits", 1, [3, 0, 0, 0])
    sender.windows([4], release=2)
    found = {document["release"]: document["inferences"] for document in sender.send()}
    assert found == {1: 3, 2: 4}


def test_repeated_document_has_the_same_number_and_counts_and_another_age():
    sender = Sender()
    sender.windows([5])
    first = sender.try_once()
    sender.windows([7])
    again = sender.try_once()
    assert again.pop("age_seconds") == first.pop("age_seconds") + SECONDS
    assert again == first
    assert [document["inferences"] for document in sender.send()] == [5, 7]


# Without a connection.


def test_nothing_is_lost_and_nothing_piles_up_without_a_connection():
    for length in (MAX_UNSENT, MAX_UNSENT + 1, 100, 1000):
        sender = Sender()
        sender.windows(range(1, length + 1))
        assert len(sender.seen.unsent) <= MAX_UNSENT
        found = sender.send()
        assert sender.sum("inferences") == length * (length + 1) // 2
        assert sum(document.get("windows", 1) for document in found) == length
        assert sum(document["seconds"] for document in found) == length * SECONDS
        firsts = [document["window"] for document in found]
        assert firsts == sorted(firsts)
        assert firsts[0] == 1
        longest = max(document.get("windows", 1) for document in found)
        assert longest <= max(1, 4 * length // MAX_UNSENT), "the parts differ much in length"


def test_window_that_the_broker_may_have_is_not_joined_with_later_ones():
    sender = Sender()
    sender.windows([5])
    first = sender.try_once()
    sender.windows([1] * 50)
    found = sender.send()
    assert (found[0]["n"], found[0]["inferences"]) == (first["n"], 5)
    assert sender.sum("inferences") == 55


def test_windows_of_several_releases_are_joined_each_with_its_own():
    sender = Sender()
    for _ in range(30):
        sender.seen.add("digits", 1, [1, 0, 0, 0])
        sender.seen.add("letters", 1, [2, 0, 0, 0])
        sender.windows([3], release=2)
    assert len(sender.seen.unsent) <= MAX_UNSENT
    sender.send()
    sums = {}
    for document in sender.had:
        key = document["model"], document["release"]
        sums[key] = sums.get(key, 0) + document["inferences"]
    assert sums == {("digits", 1): 30, ("letters", 1): 60, ("digits", 2): 90}


def test_program_that_names_ever_new_releases_does_not_fill_the_memory():
    sender = Sender()
    for release in range(100):
        sender.windows([1], release)
    assert len(sender.seen.unsent) <= MAX_APART


# Late labels.


def late(sender, number, labelled, correct):
    sender.seen.add_late("digits", 1, [0, 0, labelled, correct], number)


def test_late_labels_are_added_to_a_window_that_waits():
    sender = Sender()
    sender.windows([5, 6])
    late(sender, 1, 3, 2)
    late(sender, 3, 1, 1)
    sender.windows([7])
    found = [(d["window"], d["inferences"], d["labelled"], d["correct"]) for d in sender.send()]
    assert found == [(1, 5, 3, 2), (2, 6, 0, 0), (3, 7, 1, 1)]


def test_late_labels_of_a_window_that_was_sent_are_sent_alone_with_its_number_and_age():
    sender = Sender()
    sender.windows([5, 6, 7])
    sender.send()
    late(sender, 2, 3, 2)
    late(sender, 2, 1, 0)
    (found,) = sender.send()
    assert (found["window"], found["inferences"]) == (2, 0)
    assert (found["labelled"], found["correct"]) == (4, 2)
    assert found["age_seconds"] == SECONDS
    assert "seconds" not in found


def test_late_labels_find_a_joined_window_and_do_not_move_its_times():
    sender = Sender()
    sender.windows([1] * 64)
    joined = next(window for window in sender.seen.unsent if window.last > window.first)
    end, seconds = joined.end, joined.seconds
    late(sender, joined.last, 1, 1)
    assert (joined.end, joined.seconds, joined.counts[2]) == (end, seconds, 1)


def test_late_labels_alone_do_not_pile_up():
    sender = Sender()
    sender.windows([1] * 100)
    sender.send()
    for number in range(1, 101):
        late(sender, number, 1, 1)
        assert len(sender.seen.unsent) <= MAX_UNSENT
    found = sender.send()
    assert sum(document["labelled"] for document in found) == 100
    assert not [document for document in found if "seconds" in document]


def test_late_labels_are_checked_by_name():
    none = [0, 0, 1, 1]
    check_late(3, 1, none, None)
    assert problem(ValueError, lambda: check_late(0, 1, none, None)).startswith("window: ")
    assert problem(ValueError, lambda: check_late(3, None, none, None)).startswith("release: ")
    sample = checked_sample(0.5, None, None, None)
    for counts, given in (([1, 0, 1, 1], None), ([0, 1, 0, 0], None), (none, sample)):
        told = problem(
            ValueError, lambda counts=counts, given=given: check_late(3, 1, counts, given)
        )
        assert told.startswith("window: only labelled"), told


# Latency.


def test_latency_has_exact_edges():
    assert [latency_bin(ms) for ms in (0, 0.2499, 0.25, 0.4999, 0.5, 1, 1.9, 2)] == [
        0,
        0,
        1,
        1,
        2,
        3,
        3,
        4,
    ]
    for number in range(1, BINS - 1):
        edge = 0.25 * 2 ** (number - 1)
        assert latency_bin(edge) == number
        assert latency_bin(edge * 1.999) == number
    assert [latency_bin(ms) for ms in (4095, 4096, 10**9)] == [14, 15, 15]


def test_latency_is_sent_with_the_mean_of_its_logarithm():
    found = measured({"latency_ms": 10}, {"latency_ms": 12.5}, {"latency_ms": 100})["latency"]
    assert found["bins"] == [6, 2, 0, 0, 1]
    wanted = MILLION * (math.log(10) + math.log(12.5) + math.log(100)) / 3
    assert near(found["log"], wanted), (found, wanted)


def test_latency_of_nothing_has_a_logarithm():
    found = measured({"latency_ms": 0})["latency"]
    assert found["bins"] == [0, 1]
    assert near(found["log"], MILLION * math.log(0.001))


def test_histogram_is_packed_without_its_empty_ends():
    for bins, wanted in (
        ([0] * 15 + [4], [15, 4]),
        ([1] + [0] * 15, [0, 1]),
        ([0, 0, 3, 0, 5] + [0] * 11, [2, 3, 0, 5]),
        ([1] * 16, [0] + [1] * 16),
    ):
        assert packed(bins) == wanted
        assert unpacked(wanted) == bins


# Confidence and classes.


def test_confidence_is_counted_in_16_equal_bins():
    calls = [{"confidence": value} for value in (0, 0.0624, 0.0625, 0.5, 0.9999, 1)]
    assert measured(*calls)["confidence"] == packed([2, 1] + [0] * 6 + [1] + [0] * 6 + [2])


def test_classes_are_counted_by_number_or_name():
    calls = [{"predicted": value} for value in (3, 3, 3.0, Scalar(3), "cat", "a_B.c-9", "3")]
    assert measured(*calls)["classes"] == {"3": 5, "cat": 1, "a_B.c-9": 1}


def test_most_frequent_classes_are_named_and_the_rest_is_counted():
    calls = []
    for number in range(100):
        calls += [{"predicted": number}] * (3 if number % 5 == 0 else 1)
    found = measured(*calls)
    assert len(found["classes"]) == MAX_CLASSES
    total = sum([1] * 80 + [3] * 20)
    assert sum(found["classes"].values()) + found["classes_rest"] == total
    frequent = [name for name in found["classes"] if found["classes"][name] == 3]
    assert len(frequent) == len([n for n in range(MAX_TRACKED) if n % 5 == 0])


# Named numbers.


def test_named_numbers_have_their_moments():
    calls = [{"metrics": {"power_mw": value, "t.c": -5}} for value in (310, 320.5, Scalar(300))]
    found = measured(*calls)["numbers"]
    count, mean, deviation, least, most, log = found["power_mw"]
    assert (count, least, most) == (3, 300 * MILLION, 320500000)
    assert near(mean, 310166667)
    assert near(deviation, 8369920), deviation
    assert near(log, MILLION * (math.log(310) + math.log(320.5) + math.log(300)) / 3)
    assert found["t.c"] == [3, -5 * MILLION, 0, -5 * MILLION, -5 * MILLION]


def test_deviation_is_right_where_it_is_a_small_part_of_the_mean():
    calls = [{"metrics": {"n": value}} for value in (4000.0, 4000.25) * 500]
    assert measured(*calls)["numbers"]["n"][2] == 125000


def test_one_value_that_is_not_positive_leaves_out_the_logarithm():
    for values in ((1, 0), (0, 1), (-1, 1)):
        calls = [{"metrics": {"n": value}} for value in values]
        assert len(measured(*calls)["numbers"]["n"]) == 5
    assert len(measured({"metrics": {"n": 0.0000001}})["numbers"]["n"]) == 5  # rounds to 0


def test_ninth_name_in_a_window_is_left_out():
    found = measured({"metrics": {"a%d" % n: 1 for n in range(8)}}, {"metrics": {"b": 1}})
    assert sorted(found["numbers"]) == ["a%d" % n for n in range(8)]


def test_joined_windows_have_the_moments_of_all_values():
    values = (3, 4, 10, 1, 7, 7, 2, 9, 30, 5, 6, 8)
    calls = [
        {"latency_ms": v, "confidence": v / 30, "predicted": v, "metrics": {"n": v}} for v in values
    ]
    whole = measured(*calls)
    sender = Sender()
    for call in calls:
        sender.seen.add("digits", 1, [1, 0, 0, 0], checked_sample(**call))
        sender.windows([0])
    while len(sender.seen.unsent) > 1:
        join(sender.seen.unsent[0], sender.seen.unsent.pop())
    (joined,) = sender.send()
    for field in ("latency", "confidence", "classes", "numbers", "inferences"):
        assert joined[field] == whole[field], field


# What a program may give.


def test_measures_that_are_none_are_refused_by_name():
    names = ("confidence", "predicted", "latency_ms", "metrics")
    nan, inf = float("nan"), float("inf")
    for name, values in (
        ("confidence", ("1", b"1", [1], True, {}, Scalar(ValueError("two")), Scalar("a"))),
        ("predicted", (b"cat", [1], True, 1.5, {})),
        ("latency_ms", ("1", [1], False)),
        ("metrics", (5, "a", [1], {"a": "1"}, {"a": None}, {"a": True})),
    ):
        for value in values:
            given = [value if one == name else None for one in names]
            told = problem(TypeError, lambda given=given: checked_sample(*given))
            assert told.startswith(name), told
    for name, values in (
        ("confidence", (-0.01, 1.01, nan, inf, -inf, 10**9)),
        ("predicted", (-1, "", "a b", "x" * 17, "\xe9", 10**10, nan)),
        ("latency_ms", (-1, nan, inf, 10**10, 10**6000)),
        ("metrics", ({"a b": 1}, {"": 1}, {5: 1}, {"x" * 17: 1}, {"a": nan}, {"a": 10**10})),
        ("metrics", ({"a%d" % n: 1 for n in range(9)}, {"a": -inf})),
    ):
        for value in values:
            given = [value if one == name else None for one in names]
            told = problem(ValueError, lambda given=given: checked_sample(*given))
            assert told.startswith(name), told
    assert checked_sample(None, None, None, None) is None


# The limits of a document.


def test_largest_window_is_sent_in_documents_of_less_than_1_kib():
    sender = Sender()
    sender.number = 2**53 - 100
    window = Window("m" * 63, 2**31 - 1, 2**31 - 1, 0, False)
    window.first = 2**30 - 1
    window.seconds = 2**31 - 1
    window.counts = [2**53 - 1] * 4
    measures = window.measures = Measures()
    measures.latency = measures.confidence = [10**15] * BINS
    measures.logs = -6907755 * BINS * 10**15
    measures.over = [10**15] * 2
    measures.classes = {"%02d" % n + "c" * 14: 10**14 for n in range(MAX_TRACKED)}
    for index in range(MAX_NUMBERS):
        number = measures.numbers["%d" % index + "n" * 15] = Number()
        number.count = 10**12
        number.least, number.most = -(10**15), 10**15
        number.total = -(10**26)
        number.squares = 10**42
        number.logs = None
    sender.seen.unsent.append(window)
    sender.now = 2**31 - 1
    found = sender.send()
    assert [document["n"] for document in found] == [
        2**53 - 99 + index for index in range(len(found))
    ]
    assert {document["window"] for document in found} == {2**30 - 1}
    assert [document["inferences"] for document in found[1:]] == [0] * (len(found) - 1)
    names = [name for document in found for name in document.get("numbers", ())]
    assert len(names) == len(set(names)) == MAX_NUMBERS
    for field in ("latency", "confidence", "classes", "classes_rest"):
        assert len([document for document in found if field in document]) == 1, field


def test_usual_window_is_one_document_with_all_that_is_measured():
    found = measured(
        *(
            {
                "latency_ms": 10 + n % 30,
                "confidence": 0.5 + n % 50 / 100,
                "predicted": n % 10,
                "metrics": {"power_mw": 300 + n % 20, "temperature_c": 40 + n % 3},
            }
            for n in range(900)
        )
    )
    assert len(found["numbers"]) == 2
    assert len(json.dumps(found)) < 700


# What a reader refuses.


def test_measures_without_their_window_are_refused():
    document = {"boot": 1, "n": 1, "model": "digits", "release": 1}
    document.update({name: 0 for name in COUNTS})
    reports.check(METRICS, document)
    for field, value in (("seconds", 900), ("confidence", [1, 1]), ("age_seconds", 0)):
        changed = document.copy()
        changed[field] = value
        problem(ValueError, lambda changed=changed: reports.check(METRICS, changed))
    document["window"] = 1
    problem(ValueError, lambda: reports.check(METRICS, document))
    document["age_seconds"] = 0
    reports.check(METRICS, document)


def test_part_that_is_more_than_its_whole_is_refused():
    none_accepted(METRICS, "correct", 6)
    none_accepted(METRICS, "failures", 11)
    accepted(METRICS, "latency.over", [0, 1], [9, 9], [0, 0])
    none_accepted(METRICS, "latency.over", [1, 0], [0, 10], [-1, 0], [1], [1, 1, 1], 1, [True, 1])


def test_histogram_beyond_its_bins_is_refused():
    for field in ("confidence", "latency.bins"):
        accepted(METRICS, field, [0] + [1] * 16, [15, 1], [3, 1, 0, 1])
        none_accepted(METRICS, field, [0] + [1] * 17, [15, 1, 1], [16, 1], [3], [], [2**52, 1])
        none_accepted(METRICS, field, [3, 0, 1], [3, 1, 0], [3, 0], [-1, 1], [1, -1], {"0": 1})


def test_number_that_contradicts_itself_is_refused():
    field = "numbers.power_mw"
    accepted(METRICS, field, [1, 5, 0, 5, 5], [2, 0, 1, -1, 1], [2, 5, 3, 2, 8, -3])
    none_accepted(
        METRICS, field, [0, 5, 0, 5, 5], [2, 9, 1, 1, 5], [2, 0, 1, 1, 5], [2, 3, 9, 1, 5]
    )
    none_accepted(
        METRICS, field, [2, 3, 1, 5, 1], [2, 3, 1, 0, 5, 1], [2, 3, 1], [2, 3, 1, 1, 5, 1, 1]
    )
    none_accepted(METRICS, field, [1, 10**16, 0, 10**16, 10**16], [1, 5, 0, 5, 5, 22 * MILLION])


def test_too_many_or_strange_names_are_refused():
    good = [1, 5, 0, 5, 5]
    none_accepted(METRICS, "classes", {}, {"a b": 1}, {"x" * 17: 1}, {"a": 0})
    none_accepted(METRICS, "classes", {"c%d" % n: 1 for n in range(17)})
    none_accepted(
        METRICS, "numbers", {}, {"": good}, {"a/b": good}, {"n%d" % n: good for n in range(9)}
    )


def test_document_of_more_than_1_kib_is_refused_unread():
    payload = b'{"boot":1' + b" " * MAX_METRICS_BYTES
    assert "1024" in problem(ValueError, lambda: reports.read(METRICS, payload))
