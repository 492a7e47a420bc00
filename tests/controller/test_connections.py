"""Tests the bounds of connections, and of the lines that strangers cause in a log."""

import logging

import pytest

from modelwave_controller.connections import Bounds, Connections, Place, group_of
from modelwave_controller.few_lines import FewLines


class Server:
    def __init__(self, bounds: Bounds) -> None:
        self.connections = Connections(bounds)
        self.ended: list[str] = []

    def enter(self, name: str, address: str = "192.0.2.1") -> Place | None:
        return self.connections.enter(address, lambda: self.ended.append(name))


def test_oldest_that_waits_makes_place_for_a_new_one_of_its_address() -> None:
    server = Server(Bounds(all=9, by_address=9, waiting_by_address=2))
    other = server.enter("other", "192.0.2.2")
    places = [server.enter(name) for name in "abc"]
    assert server.ended == ["a"]
    assert all(places)
    assert other is not None
    assert len(server.connections) == 3


def test_oldest_of_any_address_makes_place_where_the_server_is_full() -> None:
    server = Server(Bounds(all=2, by_address=2, waiting_by_address=2))
    for number in (1, 2, 3):
        assert server.enter(str(number), f"192.0.2.{number}")
    assert server.ended == ["1"]


def test_those_that_are_served_do_not_make_place() -> None:
    server = Server(Bounds(all=9, by_address=2, waiting_by_address=2))
    first, second = server.enter("a"), server.enter("b")
    assert first
    assert second
    server.connections.serve(first)
    assert server.enter("c")
    assert server.ended == ["b"]
    server.connections.leave(second)  # it ended before
    server.connections.wait(first)
    assert server.enter("d")
    assert server.ended == ["b", "c"]


def test_new_one_is_refused_where_none_waits() -> None:
    server = Server(Bounds(all=2, by_address=1, waiting_by_address=1))
    for address in ("192.0.2.1", "192.0.2.2"):
        place = server.enter("served", address)
        assert place
        server.connections.serve(place)
        assert server.enter("again", address) is None
    assert server.enter("third", "192.0.2.3") is None
    server.connections.leave(place)
    server.connections.leave(place)
    assert server.enter("third", "192.0.2.3")


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_a_network_of_ipv6_counts_as_one_address(address: str, group: str) -> None:
    assert group_of(address) == group


def test_lines_beyond_the_bound_are_counted_and_told_later() -> None:
    few = FewLines(lines=2, seconds=60)

    def written(at: float, line: int = 1) -> str | None:
        record = logging.LogRecord("x", logging.WARNING, "x.py", line, "refused %s", ("a",), None)
        record.created = at
        return record.getMessage() if few.filter(record) else None

    assert [written(at) for at in (0, 1, 2, 59)] == ["refused a", "refused a", None, None]
    assert written(59, line=2) == "refused a"
    assert written(61) == "refused a (and 2 more of this in 61 s)"
    assert written(62) == "refused a"
