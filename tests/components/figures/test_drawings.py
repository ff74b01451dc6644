"""Laws of the drawings: heights, places and colours follow from the numbers."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from components.figures.columns import column_chart
from components.figures.heat import heat_map
from components.figures.pictures import thumbnails
from components.figures.points import point_chart

ATTACK = "<script>alert(1)</script>"


def elements(svg: str, tag: str) -> list[dict[str, str]]:
    return [dict(element.attrib) for element in ElementTree.fromstring(svg).iter(tag)]


def columns(names: list[str], **parts: list[float]) -> str:
    return column_chart("t", names, parts, x_label="x", y_label="y")


def test_columns_are_as_high_as_their_numbers_and_stand_on_each_other() -> None:
    bars = elements(columns(["a", "b"], low=[1.0, 2.0], high=[3.0, 0.0]), "rect")
    heights = [float(bar["height"]) for bar in bars]
    assert heights[1] == pytest.approx(3 * heights[0], abs=0.2) and heights[3] == 0.0
    assert heights[2] == pytest.approx(2 * heights[0], abs=0.2)
    assert float(bars[1]["y"]) + heights[1] == pytest.approx(float(bars[0]["y"]), abs=0.2)


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_a_height_that_is_none_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="finite and not negative"):
        columns(["a"], part=[bad])
    with pytest.raises(ValueError, match="at least one"):
        columns([])


def test_of_many_columns_only_those_labels_are_drawn_that_have_room() -> None:
    names = [str(index) for index in range(60)]
    labels = [text for text in re.findall(r">(\d+)<", columns(names, part=[1e-9] * 60)) if text in names]
    assert 10 <= len(labels) <= 20 and labels[0] == "0"


def test_points_lie_on_the_curve_that_they_satisfy() -> None:
    curve = [(x / 100.0, x / 50.0) for x in range(101)]
    svg = point_chart("t", [(0.5, 1.0, "p"), (1.0, 2.0, "q")], curve, curve_name="c", x_label="x", y_label="y")
    (path,) = elements(svg, "path")
    drawn = {tuple(pair.split()) for pair in re.split("[ML]", path["d"]) if pair}
    assert {(circle["cx"], circle["cy"]) for circle in elements(svg, "circle")} <= drawn


def test_a_chart_without_points_is_refused_and_a_point_at_zero_is_not() -> None:
    arguments = {"curve_name": "c", "x_label": "x", "y_label": "y"}
    with pytest.raises(ValueError, match="no point"):
        point_chart("t", [], [], **arguments)
    assert len(elements(point_chart("t", [(0.0, 0.0, "p")], [], **arguments), "circle")) == 1


def test_cells_have_the_colour_of_their_value() -> None:
    values = np.array([[0.0, 1.0, 1.1], [2.0, 2.5, 3.0], [3.1, np.nan, np.inf]])
    svg = heat_map("t", values, (1.0, 1.5, 2.0, 3.0), np.zeros((0, 2)), [])
    kinds = [int(cell["class"].removeprefix("heat-")) for cell in elements(svg, "rect")]
    assert kinds == [0, 0, 1, 2, 3, 3, 4, 4, 4]


def test_dots_stand_upright_and_those_outside_are_left_out() -> None:
    dots = np.array([[0.0, 1.0], [1.0, 0.0], [1.2, 0.5], [np.nan, 0.5]])
    svg = heat_map("t", np.zeros((2, 2)), (1.0, 1.5, 2.0, 3.0), dots, [(0.5, 0.5, 0.25)])
    circles = elements(svg, "circle")
    assert [(c["cx"], c["cy"]) for c in circles if c["class"] == "dot"] == [("0.0", "0.0"), ("380.0", "380.0")]
    assert {c["r"] for c in circles if "ring" in c["class"]} == {"95.0"}


def test_a_map_that_is_no_square_is_refused() -> None:
    with pytest.raises(ValueError, match="square"):
        heat_map("t", np.zeros((2, 3)), (1, 2, 3, 4), np.zeros((0, 2)), [])
    with pytest.raises(ValueError, match="bounds"):
        heat_map("t", np.zeros((2, 2)), (1, 2), np.zeros((0, 2)), [])


def test_names_cannot_inject() -> None:
    for svg in (
        columns([ATTACK], **{ATTACK: [1.0]}),
        point_chart(ATTACK, [(1, 1, ATTACK)], [], curve_name=ATTACK, x_label=ATTACK, y_label=ATTACK),
        heat_map(ATTACK, np.zeros((2, 2)), (1, 2, 3, 4), np.zeros((0, 2)), []),
    ):
        assert "<script" not in svg


def test_a_thumbnail_averages_keeps_proportions_and_leaves_small_pictures_alone() -> None:
    rng = np.random.default_rng(0)
    large = rng.integers(0, 256, (3, 80, 40, 3), dtype=np.uint8)
    small = thumbnails(large, 20)
    assert small.shape == (3, 20, 10, 3)
    means = large.reshape(3, 20, 4, 10, 4, 3).mean(axis=(2, 4))
    assert np.abs(small - means).max() <= 1.0  # rounded twice: across, then down
    assert thumbnails(large, 80) is large
    assert thumbnails(large[..., :1], 20).shape == (3, 20, 10, 1)
