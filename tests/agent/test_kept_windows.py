"""Windows that a host keeps over a reset; tests/disk/windows.py cuts its power."""

import pytest

from modelwave_agent import ports
from modelwave_agent.host import kept_windows
from modelwave_agent.host.kept_windows import KeptObservations
from modelwave_agent.types import MAX_UNSENT, Enrolment
from tests import signing

SECONDS = 900
DEVICE = Enrolment("pi-1", "linux-cpu", signing.root())
START = signing.ISSUED


class Clock(ports.Clock):
    def __init__(self, date=START):
        self.seconds, self.date, self.is_right = 0.0, date, True

    def now(self):
        return self.seconds

    def wall(self):
        return int(self.date + self.seconds)

    def is_synchronised(self):
        return self.is_right


class Life:
    """One life of the device's windows."""

    def __init__(self, folder, boot=1, clock=None, device=DEVICE):
        self.clock = clock or Clock()
        self.windows = KeptObservations(SECONDS, self.clock, str(folder), device)
        self.boot, self.n = boot, 0

    def numbered(self):
        self.n += 1
        return {"boot": self.boot, "n": self.n}

    def measure(self, *counts):
        """A window without a connection for each of these numbers of inferences."""
        for count in counts:
            self.windows.add("digits", 1, (count, 0, 0, 0))
            self.clock.seconds += SECONDS
            self.windows.close(self.clock.now())
            self.windows.keep(self.numbered)

    def sent(self, most=1000):
        """The documents that the broker takes, `most` at most; what is left is kept."""
        found = []
        while len(found) < most and (document := self.next()):
            found.append(document)
            self.windows.sent()
        self.windows.keep(self.numbered)
        return found

    def next(self):
        return self.windows.next(self.numbered, self.clock.now())


def numbers(documents):
    return [(one["boot"], one["n"], one["window"], one["inferences"]) for one in documents]


def test_windows_of_before_the_reset_are_sent_with_the_numbers_and_ages_of_then(tmp_path):
    Life(tmp_path).measure(10, 20)
    again = Life(tmp_path, 2, Clock(START + 86400))
    again.measure(30)
    found = again.sent()
    assert numbers(found) == [(1, 1, 1, 10), (1, 2, 2, 20), (2, 1, 1, 30)]
    assert [one["age_seconds"] for one in found] == [86400, 86400 - SECONDS, 0]
    assert numbers(Life(tmp_path, 3).sent()) == []


def test_window_that_the_broker_may_have_is_sent_with_the_same_number_after_the_reset(tmp_path):
    life = Life(tmp_path)
    life.windows.add("digits", 1, (10, 0, 0, 0))
    life.windows.close(SECONDS)
    tried = life.next()  # the answer of the broker never came
    life.windows.keep(life.numbered)
    assert numbers([tried]) == numbers(Life(tmp_path, 2).sent()) == [(1, 1, 1, 10)]


def test_nothing_is_written_while_the_broker_takes_each_window(tmp_path):
    life = Life(tmp_path)
    for count in (10, 20):
        life.windows.add("digits", 1, (count, 0, 0, 0))
        life.windows.close(SECONDS)
        life.sent()
    assert life.windows.journal.counter == 0


def test_file_has_an_end_and_no_count_is_lost_without_a_reset(tmp_path, monkeypatch):
    monkeypatch.setattr(KeptObservations, "limit", 2048)
    life = Life(tmp_path)
    life.measure(*[1] * 100)
    kept = len(life.windows.waiting)
    assert 0 < kept < 100
    assert len(life.windows.unsent) <= MAX_UNSENT
    assert sum(one["inferences"] for one in Life(tmp_path, 2).sent()) == kept
    assert sum(one["inferences"] for one in life.sent()) == 100


def test_label_of_a_window_that_was_written_is_a_document_of_its_own(tmp_path):
    life = Life(tmp_path)
    life.measure(10)
    life.windows.add_late("digits", 1, (0, 0, 1, 1), 1)
    first, label = life.sent()
    assert (first["window"], first["labelled"]) == (label["window"], 0) == (1, 0)
    assert (label["labelled"], label["inferences"], "seconds" in label) == (1, 0, False)


@pytest.mark.parametrize("is_right_before", [True, False])
def test_age_is_at_least_the_time_since_the_start_where_a_clock_is_not_right(
    tmp_path, is_right_before
):
    life = Life(tmp_path)
    life.clock.is_right = is_right_before
    life.measure(10)
    again = Life(tmp_path, 2, Clock(START + 86400))
    again.clock.is_right = False
    again.clock.seconds = 60
    assert again.windows.is_dated() is not is_right_before
    assert again.next()["age_seconds"] == 60
    again.clock.is_right = True
    assert again.next()["age_seconds"] == (86460 - SECONDS if is_right_before else 60)


def test_clock_that_was_right_once_dates_what_comes_later(tmp_path):
    life = Life(tmp_path)
    life.measure(10)
    life.clock.is_right = False  # nothing has kept it right for hours
    life.measure(20)
    again = Life(tmp_path, 2, Clock(START + 86400))
    assert [one["age_seconds"] for one in again.sent()] == [86400 - SECONDS, 86400 - 2 * SECONDS]


def test_damaged_file_is_dropped_and_said(tmp_path):
    life = Life(tmp_path)
    life.measure(10, 20)
    for path in tmp_path.iterdir():
        data = bytearray(path.read_bytes())
        data[120] ^= 1
        path.write_bytes(data)
    again = Life(tmp_path, 2)
    assert again.windows.trouble == (
        "windows: the file is damaged, those of before the start are lost"
    )
    again.measure(30)
    assert again.windows.trouble == ""
    assert numbers(Life(tmp_path, 3).sent()) == [(2, 1, 1, 30)]


@pytest.mark.parametrize(
    "other",
    [
        Enrolment("pi-2", "linux-cpu", signing.root()),
        Enrolment("pi-1", "linux-cpu", signing.root(fleet="other")),
    ],
)
def test_windows_of_another_device_are_never_sent_as_this_ones(tmp_path, other):
    Life(tmp_path).measure(10)
    again = Life(tmp_path, device=other)
    assert "demo/pi-1, version 1: what it holds is dropped" in again.windows.trouble
    again.measure(20)
    assert numbers(again.sent()) == [(1, 1, 1, 20)]


def test_form_of_a_newer_agent_is_dropped_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_windows, "VERSION", 2)
    Life(tmp_path).measure(10)
    monkeypatch.undo()
    again = Life(tmp_path)
    assert "version 2: what it holds is dropped" in again.windows.trouble
    assert again.sent() == []


def test_file_that_cannot_be_read_at_the_start_is_not_overwritten(tmp_path, monkeypatch):
    Life(tmp_path).measure(10, 20)
    read = kept_windows.Journal.read

    def fails(journal):
        raise OSError(5, "an error of the medium")

    monkeypatch.setattr(kept_windows.Journal, "read", fails)
    life = Life(tmp_path, 2)
    assert "those of before the start cannot be read" in life.windows.trouble
    life.measure(30)
    monkeypatch.setattr(kept_windows.Journal, "read", read)
    life.windows.keep(life.numbered)
    assert numbers(Life(tmp_path, 3).sent()) == [(1, 1, 1, 10), (1, 2, 2, 20), (2, 1, 1, 30)]


def test_medium_that_cannot_be_written_loses_nothing_without_a_reset(tmp_path):
    life = Life(tmp_path / "nowhere")
    life.measure(10, 20)
    assert life.windows.trouble.startswith("windows: a reset would lose those that wait: ")
    assert numbers(life.sent()) == [(1, 1, 1, 10), (1, 2, 2, 20)]
