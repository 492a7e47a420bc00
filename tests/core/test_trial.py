"""The share of inferences that may fail on trial, at its edges; runs on both Pythons."""

import asyncio

from modelwave_agent.ports import Clock
from modelwave_agent.trial import TrialWatch

SECONDS = 10


class Program(Clock):
    """A clock whose waits are the turns of a program: in each it observes (inferences, failures)
    of `turns`. Afterwards the trial's time is over."""

    def __init__(self, turns):
        self.turns = list(turns)
        self.trial = None
        self.seconds = 0

    def now(self):
        return self.seconds

    async def wait(self, event, seconds):
        if self.turns:
            self.trial.observe(*self.turns.pop(0))
        else:
            assert self.seconds < SECONDS, "the trial goes on without an end"
            self.seconds = SECONDS
        return event.is_set()


class LateProgram(Program):
    """The trial's time is over before the first turn."""

    async def wait(self, event, seconds):
        self.seconds = SECONDS
        return await Program.wait(self, event, seconds)


def ended(turns, ppm=0, wanted=0, health="", program=Program):
    """Returns what the trial came to, and the turns that it did not wait for."""
    program = program(turns)
    program.trial = TrialWatch({"seconds": SECONDS, "inferences": wanted}, ppm)

    async def healthy():
        return health

    said = asyncio.run(program.trial.verdict(program, healthy))
    return said, len(program.turns)


def test_without_a_share_the_first_failure_ends_the_trial():
    said, left = ended([(1000, 0), (1000, 1), (1, 0)])
    assert (said, left) == ("1 of 2000 inferences on trial failed", 1)


def test_time_alone_ends_no_trial_whose_inferences_have_not_run():
    assert ended([(2, 0), (1, 0), (1, 0)], wanted=4, program=LateProgram) == ("", 0)
    assert ended([(4, 0), (1, 0)], wanted=4, program=LateProgram) == ("", 1)


def test_one_failure_alone_ends_no_trial_that_allows_a_share():
    assert ended([(1, 1), (99, 0)], 10_000) == ("", 0)
    assert ended([(1, 1), (49, 0)], 20_000, 50) == ("", 0)


def test_one_failure_counts_at_the_end_when_it_is_more_than_the_share():
    said, left = ended([(1, 1), (98, 0)], 10_000)
    assert (said, left) == ("1 of 99 inferences on trial failed, allowed are 1 %", 0)
    assert ended([(1, 1)], 500_000)[0].startswith("1 of 1 ")


def test_failures_within_the_share_of_what_is_wanted_wait_for_the_end():
    assert ended([(2, 2), (98, 0)], 20_000, 100) == ("", 0)


def test_one_failure_more_than_the_share_of_what_is_wanted_ends_the_trial():
    assert ended([(2, 2), (1, 1), (97, 0)], 20_000, 100)[1] == 1


def test_more_inferences_than_wanted_allow_more_failures():
    assert ended([(150, 2), (50, 2), (1, 0)], 20_000, 100) == ("", 0)
    assert ended([(150, 2), (49, 2), (1, 0)], 20_000, 100)[1] == 1


def test_smallest_and_largest_share():
    assert ended([(999_999, 1)], 1)[0].startswith("1 of 999999 ")
    assert ended([(10**6, 1)], 1) == ("", 0)
    assert ended([(7, 7)], 10**6) == ("", 0)


def test_reason_of_the_last_failure_is_told_and_health_is_asked_all_the_same():
    said, _ = ended([(2, 2, "no tensor")], 1000)
    assert said == "2 of 2 inferences on trial failed, allowed are 0.1 %: no tensor"
    assert ended([(100, 1)], 20_000, health="too hot") == ("too hot", 0)


def test_trial_ends_early_exactly_when_the_share_of_the_larger_number_is_exceeded():
    for ppm in (1, 10_000, 333_333, 500_000, 999_999, 10**6):
        for wanted in (0, 1, 2, 3, 7):
            for seen in range(1, 9):
                larger = max(seen, wanted)
                for failures in range(seen + 1):
                    said, left = ended([(seen, failures), (larger - seen, 0)], ppm, wanted)
                    is_beyond = failures * 10**6 > ppm * larger
                    assert bool(said) == is_beyond, (ppm, wanted, seen, failures, said)
                    assert left == (is_beyond and failures > 1), (ppm, wanted, seen, failures)
