"""Parses the gates that a plan names, such as `accuracy >= baseline - 0.02`. Pure.

    accuracy >= baseline - 0.02              correct of labelled inferences; or >= 0.9
    failures <= 0.001                        failed of all inferences; or <= baseline + 0.002
    mean(latency_ms) <= 1.2 * baseline       the mean of its logarithms
    p95(latency_ms) <= 1.2 * baseline        p50 to p99: inferences above an edge of the histogram
    mean(power_mw) <= baseline + 20          a number that programs observe; or a ratio, or a limit
    agreement >= 0.97                        of a shadow: outputs that agree with the live model's
    agreement >= expected - 0.02             the same, against what the release signs
    over(latency_ms) <= 0.05                 inferences above the release's limit; or a difference
    estimated_accuracy >= baseline - 0.02    by confidences, without labels: it may only HOLD

`baseline` is what the devices that were not opened measure at the same time, `expected` the
agreement on held-out data that the release's manifest has. A gate without them is a fixed limit. A
gate with one needs a margin: no fleet can prove a difference of 0. Which gates a stage may have is
checked where a plan is made (plan.py, shadow.py).
"""

import re
from typing import NamedTuple, NoReturn

from modelwave_shared.window_format import BINS, FIRST_EDGE_MS, MAX_NUMBER, MAX_WORD, is_word

MAX_GATE = 120  # characters
MAX_RATIO = 100.0
# Of a quantile of latency: the histogram counts longer ones together.
MAX_LIMIT_MS = FIRST_EDGE_MS * 2 ** (BINS - 2)
ACCURACY, FAILURES, LATENCY, AGREEMENT = "accuracy", "failures", "latency_ms", "agreement"
ESTIMATED = "estimated_accuracy"
OVER = "over(latency_ms)"
_WITHOUT_BRACKETS = (ACCURACY, FAILURES, ESTIMATED, AGREEMENT)
LIMIT, DIFFERENCE, RATIO, EXPECTED = "limit", "difference", "ratio", "expected"

_NUMBER = r"-?\d{1,10}(?:\.\d{1,9})?"
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_NAME = re.compile(r"\(([^()]*)\)")
_OPERATOR = re.compile(r"[<>=!]+")
_OPERATORS = {
    **dict.fromkeys((ACCURACY, ESTIMATED, AGREEMENT), ">="),
    **dict.fromkeys((FAILURES, LATENCY, OVER), "<="),
}
_BOUNDS = (
    (DIFFERENCE, re.compile(rf"baseline\s*([+-])\s*({_NUMBER})")),
    (RATIO, re.compile(rf"()({_NUMBER})\s*\*\s*baseline")),
    (RATIO, re.compile(rf"baseline\s*(\*)\s*({_NUMBER})")),
    (EXPECTED, re.compile(rf"expected\s*([+-])\s*({_NUMBER})")),
    (LIMIT, re.compile(rf"()({_NUMBER})")),
)
_QUANTITIES = (
    "accuracy, failures, agreement, mean(NAME), mean(latency_ms), p95(latency_ms), "
    "over(latency_ms) or estimated_accuracy"
)


class PlannedGate(NamedTuple):
    """`quantile` is 0 for shares and means. `value` is the limit, or how much worse than the
    baseline it may be: of a RATIO relative to it, 0.2 for a fifth."""

    text: str
    # accuracy, failures, agreement, latency_ms, one of the two above, or that of a number
    name: str
    quantile: float
    higher_is_better: bool
    kind: str
    value: float

    @property
    def quantity(self) -> tuple[str, float]:
        """What it is about: no plan may name it twice for one stage."""
        return (self.name, self.quantile)

    @property
    def may_fail(self) -> bool:
        """Whether it may FAIL and PASS; else it may only HOLD (judge/estimated.py)."""
        return self.name != ESTIMATED

    @property
    def is_share(self) -> bool:
        return self.name in (ACCURACY, FAILURES, AGREEMENT, OVER) or self.quantile > 0


def parse_gate(text: str) -> PlannedGate:
    """Returns the gate of a text. Raises ValueError, which names the text, the position from 1, and
    what to write instead."""
    if len(text) > MAX_GATE:
        raise ValueError(
            f"{text[:20]!r}…: at {MAX_GATE + 1}: a gate has at most {MAX_GATE} letters"
        )
    return _Parser(text).gate()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0

    def gate(self) -> PlannedGate:
        name, quantile = self._quantity()
        higher = self._operator(name, quantile)
        self._skip()
        start = self.place
        kind, value = self._bound(higher)
        self._skip()
        if self.place != len(self.text):
            self._refuse("nothing may follow; write each gate as a text of its own")
        self.place = start
        made = PlannedGate(self.text, name, quantile, higher, kind, value)
        self._require_fitting(made)
        return made

    def _quantity(self) -> tuple[str, float]:
        word = self._take(_WORD)
        if word is None:
            self._refuse(f"begin with {_QUANTITIES}")
        if word[0] in _WITHOUT_BRACKETS:
            return word[0], 0.0
        percent = re.fullmatch(r"p(\d{1,4})", word[0])
        if word[0] not in ("mean", "over") and percent is None:
            self.place = word.start()
            self._refuse(f"{word[0][:20]!r} cannot be judged; give {_QUANTITIES}")
        named = self._take(_NAME)
        if named is None:
            self._refuse(f"name in brackets what is meant, such as {word[0]}(latency_ms)")
        name = named[1].strip()
        if not is_word(name):
            self.place = named.start() + 1
            self._refuse(
                f"{name[:20]!r} is no name of a number: give 1 to {MAX_WORD} letters, digits, _ . -"
            )
        if name in _WITHOUT_BRACKETS:
            self.place = word.start()
            self._refuse(f"give {name} without {word[0]}(), or another name for a number of yours")
        if word[0] == "over":
            self._require_latency(name, named.start() + 1)
            return OVER, 0.0
        return name, self._quantile(percent, name, word.start())

    def _require_latency(self, name: str, place: int) -> None:
        if name != LATENCY:
            self.place = place
            self._refuse(f"only latency_ms has a limit in releases; give mean({name})")

    def _quantile(self, percent: "re.Match[str] | None", name: str, place: int) -> float:
        if percent is None:
            return 0.0
        self.place, after = place, self.place
        if not 50 <= int(percent[1]) <= 99:
            self._refuse("give p50 to p99")
        if name != LATENCY:
            self._refuse(f"only latency_ms has a histogram; give mean({name})")
        self.place = after
        return int(percent[1]) / 100

    def _operator(self, name: str, quantile: float) -> bool:
        """Returns whether higher is better."""
        found = self._take(_OPERATOR)
        if found is None or found[0] not in ("<=", ">="):
            self.place = found.start() if found else self.place
            self._refuse("give <= or >=")
        higher = found[0] == ">="
        wanted = _OPERATORS.get(name, found[0])
        if found[0] != wanted:
            self.place = found.start()
            self._refuse(f"{'more' if wanted == '>=' else 'less'} of it is better; give {wanted}")
        return higher

    def _bound(self, higher: bool) -> tuple[str, float]:
        for kind, pattern in _BOUNDS:
            found = self._take(pattern)
            if found is not None:
                return kind, self._value(kind, found, higher)
        example = (
            "baseline - 0.02 or 0.98 * baseline" if higher else "baseline + 2 or 1.2 * baseline"
        )
        if self.text[self.place :].startswith("baseline"):
            self._refuse(f"a baseline needs a margin; give {example}")
        if self.text[self.place :].startswith("expected"):
            self._refuse("what is expected needs a margin; give expected - 0.02")
        self._refuse(f"give a limit, or {example}")

    def _value(self, kind: str, found: "re.Match[str]", higher: bool) -> float:
        self.place, after = found.start(), self.place
        number = float(found[2])
        if kind in (DIFFERENCE, EXPECTED):
            if (found[1] == "-") != higher or number <= 0:
                sign = "-" if higher else "+"
                whose = "baseline" if kind == DIFFERENCE else "expected"
                self._refuse(f"it must allow some harm; give {whose} {sign} a margin above 0")
        elif kind == RATIO:
            if not (0 < number < 1 if higher else 1 < number <= MAX_RATIO):
                what = "0.8, below 1" if higher else f"1.2, above 1 and at most {MAX_RATIO:g}"
                self._refuse(f"it must allow some harm; give a factor such as {what}")
            number = abs(number - 1)
        self.place = after
        return number

    def _require_fitting(self, gate: PlannedGate) -> None:
        if gate.kind == EXPECTED and gate.name != AGREEMENT:
            self._refuse("only agreement is compared with what a release expects; give a limit")
        if gate.name == AGREEMENT and gate.kind in (DIFFERENCE, RATIO):
            self._refuse("a release agrees with the live one itself; give 0.97, or expected - 0.02")
        if gate.name == LATENCY:
            self._require_fitting_latency(gate)
        if gate.name == ESTIMATED and gate.kind == LIMIT:
            self._refuse("an estimate is compared with the controls'; give baseline - 0.02")
        if gate.name in (*_WITHOUT_BRACKETS, OVER):
            if gate.kind == RATIO:
                sign = "-" if gate.higher_is_better else "+"
                self._refuse(f"a share is compared by a difference; give baseline {sign} 0.02")
            if not 0 <= gate.value <= 1:
                self._refuse("a share is from 0 to 1; give 0.02 for 2 %")
        if abs(gate.value) > MAX_NUMBER:
            self._refuse(f"give a number of at most {MAX_NUMBER}")

    def _require_fitting_latency(self, gate: PlannedGate) -> None:
        if gate.kind == DIFFERENCE:
            self._refuse("latency is compared by a ratio; give 1.2 * baseline")
        if gate.kind == LIMIT and gate.value <= 0:
            self._refuse("give a limit above 0 ms")
        if gate.kind == LIMIT and gate.quantile and gate.value > MAX_LIMIT_MS:
            self._refuse(f"give at most {MAX_LIMIT_MS:g} ms: longer ones are counted together")

    def _take(self, pattern: "re.Pattern[str]") -> "re.Match[str] | None":
        self._skip()
        found = pattern.match(self.text, self.place)
        if found is not None:
            self.place = found.end()
        return found

    def _skip(self) -> None:
        while self.place < len(self.text) and self.text[self.place] == " ":
            self.place += 1

    def _refuse(self, remedy: str) -> NoReturn:
        shown = "".join(c if c.isprintable() else "?" for c in self.text)
        raise ValueError(f'"{shown}": at {self.place + 1}: {remedy}')
