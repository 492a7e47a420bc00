"""What a board has done outside, as far as its medium must know it after a power cut."""

from typing import NamedTuple

from modelwave_shared.words import REJECTED


class Facts(NamedTuple):
    boot: int = 0  # the highest number of a reset that it has reported
    root: int = 1  # the newest root that it has reported
    seq: int = 0  # the newest order that it has reported, but for one that it has rejected
    acted: int = 0  # the newest order whose files it has asked for
    outcome: str = ""  # of the last order, as reported
    received: int = -1  # bytes of a model; -1: nothing was told of that
    phase: int = 0  # 1: the last order has taken the place of another

    def then(self, later):
        """These, and after them the `later` ones."""
        return Facts(
            max(self.boot, later.boot),
            max(self.root, later.root),
            max(self.seq, later.seq),
            max(self.acted, later.acted),
            later.outcome or self.outcome,
            later.received if later.received >= 0 else self.received,
            max(self.phase, later.phase),
        )

    def with_(self, what, value, model, last):
        """These, and what a line of a life says (sweep/device.py). `last`: number of the last
        order, which is for `model`."""
        if what in ("acted", "received", "phase"):
            return self._replace(**{what: value})
        if what != "report":
            return self
        state = value["models"][model]
        outcome = state["outcome"] if state["seq"] == last else ""
        seq = state["seq"] if outcome != REJECTED else 0
        return self.then(Facts(value["boot"], value["extra"]["root"], seq, outcome=outcome))
