"""What a program passes as counts is taken or refused by name; runs on both Pythons."""

from modelwave_agent.observations import (
    MAX_COUNT,
    MAX_OPEN,
    Observations,
    checked_counts,
    whole_number,
)


class Scalar:
    """As numpy and others have them."""

    def __init__(self, value):
        self.value = value

    def item(self):
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


def problem(kind, call):
    try:
        call()
    except kind as error:
        return str(error)
    raise AssertionError("nothing was raised")


def test_numbers_bools_and_scalars_become_plain_integers():
    found = checked_counts((3, False, Scalar(2), Scalar(True)))
    assert found == [3, 0, 2, 1]
    assert [type(count) for count in found] == [int] * 4


def test_what_is_no_whole_number_is_refused_by_name():
    for value in ("1", b"1", None, 1.0, [1], Scalar(0.5), Scalar(ValueError("two of them"))):
        for at, name in enumerate(("inferences", "failures", "labelled", "correct")):
            counts = [1, 0, 1, 0]
            counts[at] = value
            told = problem(TypeError, lambda counts=counts: checked_counts(counts))
            assert told.startswith(name + ": give a whole number, not a "), told


def test_number_out_of_range_is_refused_by_name():
    for value in (-1, MAX_COUNT + 1, Scalar(-5)):
        told = problem(ValueError, lambda value=value: checked_counts((value, 0, 0, 0)))
        assert told.startswith("inferences: "), told
        assert told.endswith("allowed are 0 to 1000000000"), told
    assert whole_number(5, "release", 5) == 5
    assert problem(ValueError, lambda: whole_number(6, "release", 5)).startswith("release: 6")


def test_number_of_thousands_of_digits_is_refused_by_name():
    told = problem(ValueError, lambda: whole_number(1 << 20000, "release", 5))
    assert told == "release: a number of more than 16 digits, allowed are 0 to 5"


def test_number_that_compares_in_its_own_way_is_checked_as_what_it_is():
    class Liar(int):
        def __le__(self, other):
            return True

        __lt__ = __ge__ = __gt__ = __le__

    if Liar(-5) < -10:  # MicroPython compares the integers in any case
        assert problem(ValueError, lambda: whole_number(Liar(-5), "release", 5))
    assert type(whole_number(Liar(3), "release", 5)) is int


def test_windows_of_wrong_releases_do_not_pile_up():
    observations = Observations(900, 0)
    for release in range(MAX_OPEN):
        observations.add("digits", release, [1, 0, 0, 0])
    told = problem(ValueError, lambda: observations.add("digits", 99, [1, 0, 0, 0]))
    assert told.startswith("release: 99, and counts of 32 others wait"), told
    observations.add("digits", 0, [1, 0, 0, 0])
    observations.close(1)
    observations.add("digits", 99, [1, 0, 0, 0])
    assert list(observations.windows) == [("digits", 99)]


def test_part_is_no_more_than_its_whole():
    told = problem(ValueError, lambda: checked_counts((0, 0, 1, 9)))
    assert told == "correct: 9, that is more than labelled=1"
    told = problem(ValueError, lambda: checked_counts((1, 2, 0, 0)))
    assert told == "failures: 2, that is more than inferences=1"
    assert checked_counts((0, 0, 2, 2)) == [0, 0, 2, 2]
