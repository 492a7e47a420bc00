"""Draws the arena over time. Each planned buffer is a box, from the operator that writes it to
the last one that reads it, at its offset in the arena. The peak is marked, and the buffers
alive at the peak are numbered and named."""

from dataclasses import dataclass

from modelwave_controller.fit import Box, Fit
from modelwave_controller.models import peak
from modelwave_controller.models.peak import Peak
from modelwave_controller.models.svg import Svg

PLOT_WIDTH, PLOT_HEIGHT = 900, 380  # pixels, between the axes
LEFT, TOP, RIGHT = 84, 76, 24
LEGEND_LINE = 20
MAX_LEGEND = 12  # buffers named below; the rest are counted
MAX_STEPS_NAMED = 48
LEGEND_LETTERS = 108
LETTER = 6.2  # width of a letter of 11 pixels, about
TENSOR, SCRATCH, AT_PEAK, PEAK_LINE = "#c6d8ea", "#e9dcc3", "#f0a35e", "#b3261e"
INK, GREY = "#202124", "#5f6368"


def draw(fit: Fit, name: str) -> str:
    """Returns an SVG document. `name` is the model's, for the title. Raises ValueError if
    `fit` has no plan to draw."""
    worst = peak.find_peak(fit)
    if worst is None or fit.activations is None:
        raise ValueError("no plan: no buffer of the model is planned into an arena")
    frame = _Frame.of(fit, worst)
    svg = Svg(LEFT + PLOT_WIDTH + RIGHT, frame.height, f"{name}: arena over time")
    _title(svg, fit, worst, name)
    _axes(svg, fit, frame)
    _peak_band(svg, frame, worst)
    numbers = {id(box): number for number, box in enumerate(worst.boxes, start=1)}
    for box in fit.boxes:
        if box.first >= 0 and box.size:
            _box(svg, frame, box, numbers.get(id(box)))
    _peak_line(svg, frame, fit, worst)
    _legend(svg, frame, worst)
    return svg.text


@dataclass(frozen=True, slots=True)
class _Frame:
    """Converts steps and bytes to pixels."""

    steps: int
    top_bytes: int
    tick: int
    below: int  # pixels under the x axis for the names of operators
    height: int

    @classmethod
    def of(cls, fit: Fit, worst: Peak) -> "_Frame":
        steps = max(box.last for box in fit.boxes) + 1
        tick = _round_step(worst.bytes)
        top = -(-worst.bytes // tick) * tick
        longest = max(len(peak.step_name(fit, step)) for step in range(steps))
        below = 52 + int(longest * LETTER * 0.72)
        lines = 2 + min(len(worst.boxes), MAX_LEGEND) + (len(worst.boxes) > MAX_LEGEND)
        return cls(steps, top, tick, below, TOP + PLOT_HEIGHT + below + lines * LEGEND_LINE + 12)

    def x(self, step: float) -> float:
        return LEFT + PLOT_WIDTH * step / self.steps

    def y(self, offset: float) -> float:
        return TOP + PLOT_HEIGHT * (1 - offset / self.top_bytes)


def _round_step(size: int) -> int:
    """Returns the bytes between two grid lines: 1, 2 or 5 KiB times a power of ten if possible,
    such that there are four to ten lines."""
    unit = 1024 if size >= 4096 else 1
    step = unit
    for factor in (2, 2.5, 2) * 9:
        if size / step <= 8:
            break
        step = int(step * factor) if step * factor == int(step * factor) else step * 2
    return max(step, 1)


def _title(svg: Svg, fit: Fit, worst: Peak, name: str) -> None:
    svg.write(LEFT, 26, f"{name}: arena over time", font_size="17", fill=INK, class_="ink")
    svg.write(
        LEFT,
        46,
        f"{fit.profile}: {worst.bytes:,} bytes planned, {fit.used:,} used, "
        f"an arena of {fit.need:,} bytes needed{', derived' if fit.derived else ''}",
        font_size="12",
        fill=GREY,
        class_="soft",
    )


def _axes(svg: Svg, fit: Fit, frame: _Frame) -> None:
    bottom, right = TOP + PLOT_HEIGHT, LEFT + PLOT_WIDTH
    for offset in range(0, frame.top_bytes + 1, frame.tick):
        y = frame.y(offset)
        svg.line(LEFT, y, right, y, stroke="#e3e5e8", class_="grid")
        shown = f"{offset // 1024:,}" if frame.tick >= 1024 else f"{offset:,}"
        svg.write(
            LEFT - 8, y + 4, shown, text_anchor="end", font_size="11", fill=GREY, class_="soft"
        )
    unit = "KiB" if frame.tick >= 1024 else "bytes"
    svg.write(
        20,
        TOP + PLOT_HEIGHT / 2,
        f"offset in the arena [{unit}]",
        -90,
        text_anchor="middle",
        font_size="12",
        fill=INK,
        class_="ink",
    )
    svg.line(LEFT, bottom, right, bottom, stroke=INK, class_="axis")
    svg.line(LEFT, TOP, LEFT, bottom, stroke=INK, class_="axis")
    every = -(-frame.steps // MAX_STEPS_NAMED)
    for step in range(0, frame.steps, every):
        x = frame.x(step + 0.5)
        svg.line(x, bottom, x, bottom + 4, stroke=INK, class_="axis")
        svg.write(
            x + 3,
            bottom + 14,
            peak.step_name(fit, step),
            -45,
            text_anchor="end",
            font_size="11",
            fill=INK,
            class_="ink",
        )
    svg.write(
        LEFT + PLOT_WIDTH / 2,
        bottom + frame.below - 4,
        "step: the operators in the order they run",
        text_anchor="middle",
        font_size="12",
        fill=INK,
        class_="ink",
    )


def _peak_band(svg: Svg, frame: _Frame, worst: Peak) -> None:
    x = frame.x(worst.step)
    svg.rect(x, TOP, frame.x(worst.step + 1) - x, PLOT_HEIGHT, "", fill="#fdeeee", class_="band")


def _box(svg: Svg, frame: _Frame, box: Box, number: int | None) -> None:
    """Draws a buffer. `number` is its number in the legend; None if it is not alive at the
    peak."""
    x, y = frame.x(box.first), frame.y(box.offset + box.size)
    width, height = frame.x(box.last + 1) - x, frame.y(box.offset) - y
    scratch = box.label.startswith("scratch of ")
    colour = AT_PEAK if number else SCRATCH if scratch else TENSOR
    tip = f"{box.label}: {box.size:,} bytes at {box.offset:,}, steps {box.first} to {box.last}"
    svg.rect(x, y, width, height, tip, fill=colour, stroke="#4a5568", stroke_width="0.7")
    for words in _labels(box, number):
        length = len(words) * LETTER + 8
        if length <= width and height >= 13:
            svg.write(x + 4, y + height / 2 + 4, words, font_size="11", fill=INK)
            return
        if length <= height and width >= 13:
            middle = x + width / 2 + 4
            svg.write(middle, y + height - 4, words, -90, font_size="11", fill=INK)
            return


def _labels(box: Box, number: int | None) -> list[str]:
    """Returns the texts that may be written into a box, the most informative first."""
    mark = f"{number} · " if number and number <= MAX_LEGEND else ""
    size = f"{box.size:,} B"
    first, *_ = box.label.split(";")  # the converter joins the names of what it fuses
    parts = first.split("/")
    names = (box.label, first, "/".join(parts[-2:]), parts[-1])
    found = [f"{mark}{name}, {size}" for name in names]
    return [*found, f"{mark}{size}", str(number)] if mark else [*found, size]


def _peak_line(svg: Svg, frame: _Frame, fit: Fit, worst: Peak) -> None:
    y, right = frame.y(worst.bytes), LEFT + PLOT_WIDTH
    svg.line(
        LEFT,
        y,
        right,
        y,
        stroke=PEAK_LINE,
        stroke_dasharray="5 4",
        stroke_width="1.4",
        class_="peak",
    )
    words = f"peak: {worst.bytes:,} bytes ({worst.bytes / 1024:.1f} KiB), during "
    words += peak.step_name(fit, worst.step)
    svg.write(right, y - 6, words, text_anchor="end", font_size="12", fill=PEAK_LINE, class_="peak")


def _legend(svg: Svg, frame: _Frame, worst: Peak) -> None:
    y = TOP + PLOT_HEIGHT + frame.below + LEGEND_LINE
    for x, colour, words in (
        (LEFT, AT_PEAK, "alive at the peak:"),
        (LEFT + 480, TENSOR, "other tensors"),
        (LEFT + 620, SCRATCH, "other scratch buffers"),
    ):
        svg.rect(x, y - 10, 12, 12, "", fill=colour, stroke="#4a5568", stroke_width="0.7")
        svg.write(x + 18, y, words, font_size="12", fill=INK, class_="ink")
    for number, box in enumerate(worst.boxes[:MAX_LEGEND], start=1):
        y += LEGEND_LINE
        svg.write(
            LEFT + 18, y, f"{number}", text_anchor="middle", font_size="12", fill=INK, class_="ink"
        )
        svg.write(
            LEFT + 110,
            y,
            f"{box.size:,} bytes",
            text_anchor="end",
            font_size="12",
            fill=INK,
            class_="ink",
        )
        svg.write(LEFT + 124, y, _cut(box.label), font_size="12", fill=INK, class_="ink")
    if len(worst.boxes) > MAX_LEGEND:
        y += LEGEND_LINE
        rest = len(worst.boxes) - MAX_LEGEND
        svg.write(LEFT + 124, y, f"and {rest} smaller", font_size="12", fill=GREY, class_="soft")


def _cut(name: str) -> str:
    return name if len(name) <= LEGEND_LETTERS else name[: LEGEND_LETTERS - 1] + "…"
