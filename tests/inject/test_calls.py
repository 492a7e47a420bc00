"""Tests which points a log of strace has, and that it is read rightly what became of one."""

import pytest

from tests.inject.calls import CALLS, KILL, Hit, Point, hit, points, spread

LOG = """\
10 openat(AT_FDCWD</>, "/s/journal.0", O_RDWR|O_CLOEXEC) = 7</s/journal.0>
10 write(7</s/journal.0>, "MWJ1 <1>", 8) = 8
11 recvfrom(5<TCP:[127.0.0.1:1->127.0.0.1:2]>,  <unfinished ...>
10 write(6<UNIX-STREAM:[1->2]>, "\\0", 1) = 1
10 write(2</s/stderr>, "INFO", 4)     = 4
11 <... recvfrom resumed>"", 1, 0, NULL, NULL) = 0
11 recvfrom(8<UNIX-STREAM:[2->1]>, "\\0", 4096, 0, NULL, NULL) = 1
11 write(9</dev/null<char 1:3>>, "x", 1) = 1
10 openat(AT_FDCWD</>, "/s/a.model", O_WRONLY|O_CREAT|O_APPEND|O_CLOEXEC, 0666) = 8</s/a.model>
10 getpid() = 10
12 +++ exited with 0 +++
"""


def test_each_call_of_a_thread_is_a_point_with_the_errors_that_it_can_give() -> None:
    assert points(LOG) == sorted(
        [
            *(Point("openat", 1, fault) for fault in (KILL, "EIO", "EMFILE")),
            *(Point("openat", 2, fault) for fault in (KILL, "EIO", "EMFILE", "ENOSPC")),
            *(Point("write", 1, fault) for fault in (KILL, "EIO", "ENOSPC")),
            Point("write", 2, KILL),  # to another thread
            Point("write", 3, KILL),  # to stderr
            *(Point("recvfrom", 1, fault) for fault in (KILL, "ECONNRESET")),
            Point("recvfrom", 2, KILL),
        ]
    )


def test_a_call_that_was_interrupted_by_another_line_counts_once() -> None:
    assert [point.number for point in points(LOG) if point.call == "recvfrom"] == [1, 1, 2]


def test_an_error_of_a_call_that_can_give_it_is_a_hit() -> None:
    log = '10 write(7</s/journal.0>, "", 8) = -1 EIO (Input/output error) (INJECTED)\n'
    assert hit(log, Point("write", 1, "EIO")) is Hit.REACHED
    assert hit(LOG, Point("write", 1, "EIO")) is Hit.MISSED


def test_the_end_of_a_call_on_a_line_of_its_own_is_a_hit() -> None:
    end = "11 <... recvfrom resumed>0x1, 1, 0, NULL, NULL) = -1 ECONNRESET (x) (INJECTED)\n"
    assert (
        hit(
            LOG.replace('11 <... recvfrom resumed>"", 1, 0, NULL, NULL) = 0\n', end),
            Point("recvfrom", 1, "ECONNRESET"),
        )
        is Hit.REACHED
    )


def test_an_error_that_the_call_never_gives_is_no_hit() -> None:
    log = "11 recvfrom(8<UNIX-STREAM:[2->1]>, 0x1, 9, 0) = -1 ECONNRESET (x) (INJECTED)\n"
    assert hit(log, Point("recvfrom", 2, "ECONNRESET")) is Hit.IMPOSSIBLE


def test_an_error_that_another_thread_may_have_been_given_too_is_no_hit() -> None:
    """strace lets go after the first one, and does not say any more how the other call ended."""
    log = """\
10 recvfrom(8<UNIX-STREAM:[2->1]>, "\\0", 4096, 0, NULL, NULL) = 1
11 recvfrom(5<TCP:[127.0.0.1:1->127.0.0.1:2]>,  <unfinished ...>
10 recvfrom(8<UNIX-STREAM:[2->1]>,  <unfinished ...>
11 <... recvfrom resumed>0x1, 1, 0, NULL, NULL) = -1 ECONNRESET (x) (INJECTED)
"""
    assert hit(log, Point("recvfrom", 2, "ECONNRESET")) is Hit.IMPOSSIBLE
    assert hit(log, Point("recvfrom", 1, "ECONNRESET")) is Hit.REACHED
    other = log.replace("10 recvfrom(8<UNIX-STREAM:[2->1]>", "10 recvfrom(8<TCP:[a:1->b:2]>")
    assert hit(other, Point("recvfrom", 2, "ECONNRESET")) is Hit.REACHED


def test_a_kill_is_a_hit_when_the_process_was_killed() -> None:
    assert hit("10 +++ killed by SIGKILL +++\n", Point("write", 1, KILL)) is Hit.REACHED
    assert hit(LOG, Point("write", 99, KILL)) is Hit.MISSED


def test_points_are_spread_over_all_calls() -> None:
    many = [Point(call, number, KILL) for call in sorted(CALLS) for number in range(1, 101)]
    chosen = spread(many, 2 * len(CALLS))
    assert {point.call for point in chosen} == set(CALLS)
    assert spread(many, 0) == spread(many, len(many)) == many


@pytest.mark.parametrize(
    "text", ["wriite:1:EIO", "write:one:EIO", "write:1:EIOO", "write:1", "lseek:1:EIO"]
)
def test_a_point_that_no_call_has_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Point.read(text)


def test_a_point_is_read_as_it_is_printed() -> None:
    assert Point.read(str(Point("write", 3, "EIO"))) == Point("write", 3, "EIO")
