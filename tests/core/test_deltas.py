"""The text of an offer in an order; runs on both Pythons."""

from modelwave_shared import deltas
from modelwave_shared.deltas import Offer
from modelwave_shared.limits import MAX_BYTES
from tests.core.helpers import SHA256

GOOD = "1 0123456789abcdef 4156 " + SHA256


def test_an_offer_is_read_as_it_was_written():
    offer = deltas.read(GOOD)
    assert (offer.kind, offer.base, offer.size, offer.sha256) == (1, SHA256[:16], 4156, SHA256)
    assert offer.text() == GOOD
    assert Offer(1, SHA256, 4156, SHA256).text() == GOOD
    assert deltas.read(GOOD.replace("4156", str(MAX_BYTES))).size == MAX_BYTES


def test_an_offer_of_a_later_kind_is_read():
    assert deltas.read("99" + GOOD[1:]).kind == 99


def test_what_is_no_offer_is_none():
    for text in (
        "",
        "1",
        GOOD + " more",
        GOOD[1:],
        "0" + GOOD[1:],
        "-" + GOOD,
        "1" * 400 + GOOD,
        GOOD[:-1],
        GOOD[:-1] + "G",
        GOOD.replace("0123456789abcdef ", "0123456789abcde "),
        GOOD.replace("4156", "0"),
        GOOD.replace("4156", "-5"),
        GOOD.replace("4156", "1_0"),
        GOOD.replace("4156", str(MAX_BYTES + 1)),
        GOOD.replace("4156", ""),
    ):
        assert deltas.read(text) is None, text
