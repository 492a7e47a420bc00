"""Tests the picture of the arena: what it shows, where, and that no name can break it."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace

import pytest

from modelwave_controller.fit import Box, Fit, Layer, analyse
from modelwave_controller.models import peak, plot
from tests.fit import measured
from tests.models import small_models

SVG = "{http://www.w3.org/2000/svg}"
PROFILE = "cortex-m4:cmsis-nn"


def fit_of(boxes: list[Box], operators: int = 3) -> Fit:
    layers = tuple(Layer(0, i, "ADD", (1,), 0, 0, 0, 0, False) for i in range(operators))
    planned = max(box.offset + box.size for box in boxes)
    return Fit(PROFILE, 0, ("ADD",), 1, 1, planned, layers=layers, boxes=tuple(boxes))


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def boxes(svg: str) -> Iterator[tuple[str, dict[str, float]]]:
    """(tip, x, y, width, height) of each box that has a tip."""
    for element in ET.fromstring(svg).iter(f"{SVG}rect"):
        title = element.find(f"{SVG}title")
        if title is not None:
            names = ("x", "y", "width", "height")
            yield title.text or "", {name: float(element.attrib[name]) for name in names}


def test_peak_is_the_fullest_step_that_reaches_the_end() -> None:
    low, high, beside = Box("low", 0, 60, 0, 2), Box("high", 60, 40, 1, 2), Box("x", 8, 8, 2, 2)
    late = Box("late", 60, 30, 3, 3)
    found = peak.find_peak(fit_of([low, high, beside, late]))
    assert found is not None
    assert (found.step, found.bytes, [box.label for box in found.boxes]) == (
        2,
        100,
        ["low", "high", "x"],
    )
    assert peak.find_peak(Fit(PROFILE, 0, ())) is None


def test_boxes_lie_at_their_offset_for_as_long_as_they_live() -> None:
    svg = plot.draw(fit_of([Box("a", 0, 100, 0, 1), Box("b", 100, 300, 1, 3)]), "model")
    (_, a), (_, b) = boxes(svg)
    assert a["width"] / b["width"] == pytest.approx(2 / 3, abs=0.01)
    assert b["height"] / a["height"] == pytest.approx(3, abs=0.01)
    assert a["y"] == pytest.approx(b["y"] + b["height"], abs=0.2)
    assert min(a["height"], b["height"]) > 0
    assert b["x"] == pytest.approx(a["x"] + a["width"] / 2, abs=0.2)


def test_axes_units_peak_and_the_tensors_at_it_are_written() -> None:
    written = texts(plot.draw(fit_of([Box("a", 0, 100, 0, 1), Box("big", 100, 300, 1, 3)]), "m"))
    assert "offset in the arena [bytes]" in written
    assert "step: the operators in the order they run" in written
    assert "peak: 400 bytes (0.4 KiB), during 0 ADD" in written
    assert written[-6:] == ["1", "300 bytes", "big", "2", "100 bytes", "a"]
    assert {"0", "400", "start", "0 ADD", "2 ADD"} <= set(written)


def test_large_arenas_are_drawn_in_kib() -> None:
    written = texts(plot.draw(fit_of([Box("a", 0, 1 << 20, 0, 3)]), "m"))
    assert "offset in the arena [KiB]" in written
    ticks = [int(word.replace(",", "")) for word in written if word.replace(",", "").isdigit()]
    assert max(ticks) >= 1024
    assert 4 <= len([tick for tick in ticks if tick >= 100]) <= 12


def test_names_cannot_break_the_document() -> None:
    evil = '</text><script>alert(1)</script>&"\x00\x1b\u202e]]>'
    fit = fit_of([Box(evil, 0, 400, 0, 3)])
    fit = replace(fit, layers=tuple(replace(layer, operator=evil) for layer in fit.layers))
    svg = plot.draw(fit, evil)
    root = ET.fromstring(svg)
    assert {element.tag for element in root.iter()} <= {
        SVG + tag for tag in ("svg", "title", "rect", "line", "text")
    }
    assert "\u202e" not in svg


def test_hundreds_of_steps_and_boxes_stay_readable() -> None:
    many = [Box(f"tensor {i}", 16 * i, 16, i % 50, 150) for i in range(200)]
    svg = plot.draw(fit_of(many, operators=200), "m")
    written = texts(svg)
    assert f"and {200 - plot.MAX_LEGEND} smaller" in written
    assert len([word for word in written if word.endswith(" ADD")]) <= plot.MAX_STEPS_NAMED


def test_a_model_that_is_refused_has_no_picture() -> None:
    with pytest.raises(ValueError, match="no plan"):
        plot.draw(analyse(small_models.one("TILE"), PROFILE), "m")


def test_a_model_with_nothing_in_its_arena_has_no_picture() -> None:
    empty = replace(fit_of([Box("a", 0, 1, 0, 1)]), boxes=(Box("nothing", 0, 0, 0, 1),))
    assert peak.find_peak(empty) is None
    with pytest.raises(ValueError, match="no plan"):
        plot.draw(empty, "m")


@pytest.mark.parametrize("name", ["zoo__conv1d_int8_029", "keywords"])
def test_models_mark_their_peak(name: str) -> None:
    own = name == "keywords"
    data = small_models.keywords() if own else measured.model(name).read_bytes()
    fit = analyse(data, PROFILE)
    written = texts(plot.draw(fit, name))
    worst = peak.find_peak(fit)
    assert worst is not None
    assert worst.bytes == fit.activations
    assert any(word.startswith(f"peak: {worst.bytes:,} bytes") for word in written)
    for box in worst.boxes[: plot.MAX_LEGEND]:
        assert any(word.startswith(box.label[:60]) for word in written)
