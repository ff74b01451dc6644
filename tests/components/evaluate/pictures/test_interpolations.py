"""Laws of the paths between latents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.evaluate.pictures.interpolations import (
    ROWS,
    STEPS,
    between_codes,
    between_latents,
    spherical,
    straight,
)
from models.latents import standard_normal_latents
from tests.components.evaluate.pictures.linear import LinearRenderer, tiles

RNG = np.random.default_rng(0)
GOLDEN = json.loads((Path(__file__).parents[3] / "golden" / "arcs.json").read_text(encoding="utf-8"))["paths"]
START, END = RNG.normal(size=(2, 16))
SIDE = 28
WEIGHTS = np.random.default_rng(1).normal(0.0, 8.0, size=(16, SIDE * SIDE))


@pytest.mark.parametrize("path", [spherical, straight])
def test_a_path_keeps_its_ends_and_is_the_same_backwards(path: object) -> None:
    forth, back = path(START, END, 9), path(END, START, 9)  # type: ignore[operator]
    np.testing.assert_allclose(forth[[0, -1]], [START, END], atol=1e-12)
    np.testing.assert_allclose(forth, back[::-1], atol=1e-12)


def test_an_arc_keeps_the_norm_and_turns_evenly() -> None:
    start, end = START / np.linalg.norm(START) * 4.0, END / np.linalg.norm(END) * 4.0
    arc = spherical(start, end, 9)
    np.testing.assert_allclose(np.linalg.norm(arc, axis=1), 4.0, rtol=1e-12)
    turns = np.arccos(np.sum(arc[1:] * arc[:-1], axis=1) / 16.0)
    np.testing.assert_allclose(turns, turns[0], rtol=1e-9)
    assert np.linalg.norm(straight(start, end, 9)[4]) < 3.9


@pytest.mark.parametrize("path", GOLDEN, ids=[path["name"] for path in GOLDEN])
def test_the_arc_is_the_endpoints(path: dict[str, Any]) -> None:
    expected = np.array(path["latents"])
    found = spherical(np.array(path["start"]), np.array(path["end"]), len(expected))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_between_ends_of_unequal_norm_direction_and_norm_change_evenly() -> None:
    arc = spherical(START, 3.0 * END, 9)
    norms = np.linalg.norm(arc, axis=1)
    np.testing.assert_allclose(norms, np.linspace(norms[0], norms[-1], 9), rtol=1e-12)
    turns = np.arccos(np.sum(arc[1:] * arc[:-1], axis=1) / (norms[1:] * norms[:-1]))
    np.testing.assert_allclose(turns, turns[0], rtol=1e-9)


@pytest.mark.parametrize("factor", [1.0, 2.0, 0.0])
def test_where_no_arc_is_defined_the_path_is_straight(factor: float) -> None:
    np.testing.assert_array_equal(spherical(START, factor * START, 5), straight(START, factor * START, 5))


def test_rows_end_at_the_priors_own_draws() -> None:
    renderer = LinearRenderer(WEIGHTS, side=SIDE)
    (figure,) = between_latents(renderer, seed=3).figures  # type: ignore[arg-type]
    assert figure.png is not None
    seen = tiles(figure.png, side=SIDE, factor=2)
    assert seen.shape[:2] == (ROWS, STEPS)
    ends = renderer.pixels(standard_normal_latents(3, 2 * ROWS, 16).astype(np.float64))[:, :, :, 0]
    np.testing.assert_array_equal(seen[:, 0], ends[0::2])
    np.testing.assert_array_equal(seen[:, -1], ends[1::2])


def test_a_conditional_model_shows_one_class_a_row() -> None:
    names = [f"class-{index}" for index in range(8)]
    flat = LinearRenderer(np.zeros((16, SIDE * SIDE)), side=SIDE, class_names=names)
    exhibit = between_latents(flat)  # type: ignore[arg-type]
    assert "class-0, class-2, class-4, class-6" in exhibit.note
    assert exhibit.figures[0].png is not None
    seen = tiles(exhibit.figures[0].png, side=SIDE, factor=2)
    np.testing.assert_array_equal(seen[:, :, 0, 0], np.repeat([[127], [167], [207], [247]], STEPS, axis=1))


def test_lines_run_between_reconstructions_of_different_modes() -> None:
    renderer = LinearRenderer(WEIGHTS, side=SIDE)
    codes = np.random.default_rng(2).normal(size=(12, 16))
    modes = np.array([0, 0, 0, 1, 2, 1, 1, 2, 0, 0, 0, 0])
    exhibit = between_codes(renderer, codes, modes, np.zeros(12, dtype=np.int64))  # type: ignore[arg-type]
    assert exhibit is not None and exhibit.figures[0].png is not None
    seen = tiles(exhibit.figures[0].png, side=SIDE, factor=2)
    decoded = renderer.pixels(codes)[:, :, :, 0]
    pairs = [(0, 3), (1, 4), (2, 5), (6, 7)]
    for row, (start, end) in zip(seen, pairs, strict=True):
        assert (row[0] == decoded[start]).all() and (row[-1] == decoded[end]).all()
        assert modes[start] != modes[end]


def test_a_conditional_decoder_stays_within_a_class() -> None:
    renderer = LinearRenderer(WEIGHTS, side=SIDE, class_names=["a", "b"])
    codes, labels = np.random.default_rng(2).normal(size=(6, 16)), np.array([0, 1, 0, 1, 1, 1])
    exhibit = between_codes(renderer, codes, np.arange(6), labels)  # type: ignore[arg-type]
    assert exhibit is not None and exhibit.figures[0].png is not None
    seen = tiles(exhibit.figures[0].png, side=SIDE, factor=2)
    decoded = renderer.pixels(codes, labels)[:, :, :, 0]
    for row, (start, end) in zip(seen, [(0, 2), (1, 3), (4, 5)], strict=True):
        assert (row[0] == decoded[start]).all() and (row[-1] == decoded[end]).all()


def test_one_picture_is_no_path() -> None:
    none = np.zeros(1, dtype=np.int64)
    assert between_codes(LinearRenderer(WEIGHTS, side=SIDE), np.zeros((1, 16)), none, none) is None  # type: ignore[arg-type]
