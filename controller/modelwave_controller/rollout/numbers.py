"""The numbers of orders. Devices take an order only if its number is above that of their last one;
each epoch of the fleet's root begins at 1 again, so numbers are compared by epoch first. Pure."""

from typing import NamedTuple


class Number(NamedTuple):
    epoch: int
    seq: int


NO_NUMBER = Number(0, 0)
