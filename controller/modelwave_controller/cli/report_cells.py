"""What a rollout's report is made of: sections with a table each, and the kinds of its cells."""

from collections.abc import Sequence
from typing import NamedTuple

from modelwave_controller.drawing.intervals import Estimate, Scale
from modelwave_controller.results.report import GateCourse

NONE = "–"


class Word(NamedTuple):
    """A status, a verdict or an outcome: it has a colour."""

    text: str


class Moment(NamedTuple):
    """A date, a time and its offset, with a space between them; or NONE."""

    text: str


class Shares(NamedTuple):
    """A name, and parts of a whole by what they are, as a bar."""

    text: str
    parts: Sequence[tuple[str, int]]


class Series(NamedTuple):
    """A figure, and its values by time, None where it was not observed; `least` and `most` of all
    rows that are compared with it. `told` says what the values are."""

    text: str
    values: Sequence[float | None]
    least: float
    most: float
    told: str


class Interval(NamedTuple):
    """An estimate in words, and as a drawing on the scale of its gate."""

    text: str
    estimate: Estimate
    scale: Scale
    verdict: str


Cell = str | Word | Moment | Shares | Series | Interval


class Heading(NamedTuple):
    title: str
    is_number: bool = False


class Part(NamedTuple):
    """A section. `empty`: what it says without rows."""

    name: str
    title: str
    headings: Sequence[Heading]
    rows: Sequence[Sequence[Cell]]
    empty: str
    notes: Sequence[str] = ()
    lead: str = ""  # above the rows
    course: GateCourse | None = None  # to be drawn above the rows
