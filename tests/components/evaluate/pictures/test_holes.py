"""Laws of the plane through the code space and of the holes on it."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from components.evaluate.pictures.graphs import Codes
from components.evaluate.pictures.holes import CELLS, Plane, holes, leading_plane
from components.evaluate.scored import Judged
from tests.components.evaluate.pictures.linear import LinearRenderer

SIDE = 8
CODES = np.random.default_rng(0).normal(size=(400, 6)) * [1.0, 5.0, 0.5, 3.0, 0.1, 0.2] + [
    0.0,
    2.0,
    0.0,
    -1.0,
    0.0,
    0.0,
]
WEIGHTS = np.random.default_rng(1).normal(0.0, 4.0, size=(6, SIDE * SIDE))
RENDERER = LinearRenderer(WEIGHTS, side=SIDE)


def features_of(pixels: np.ndarray) -> np.ndarray:
    return pixels.reshape(len(pixels), -1).astype(np.float32)


def judged(pixels: np.ndarray) -> Judged:
    return Judged(pixels, features_of(pixels), np.zeros((len(pixels), 2), dtype=np.float32))


def shares(note: str) -> list[float]:
    return [float(text) for text in re.findall(r"([\d.]+) %", note)]


def test_the_plane_holds_the_directions_of_most_variance() -> None:
    plane = leading_plane(CODES)
    np.testing.assert_allclose(plane.axes @ plane.axes.T, np.eye(2), atol=1e-12)
    assert abs(plane.axes[0, 1]) > 0.99 and abs(plane.axes[1, 3]) > 0.99
    np.testing.assert_allclose(plane.mean, CODES.mean(axis=0))


def test_the_plane_reaches_as_far_as_codes_and_prior() -> None:
    for codes in (CODES, 0.01 * CODES):
        plane = leading_plane(codes)
        unit = plane.project(codes)
        assert ((unit >= 0) & (unit <= 1)).all(axis=1).mean() >= 0.96
        center, reach = plane.prior_center(), 3.0 / plane.side
        assert (center - reach >= 0.0).all() and (center + reach <= 1.0).all()


def test_the_plane_does_not_depend_on_the_order_of_codes_nor_on_an_axiss_sign() -> None:
    one, other = leading_plane(CODES), leading_plane(CODES[::-1].copy())
    np.testing.assert_allclose(one.axes, other.axes, atol=1e-9)
    assert (one.axes[np.arange(2), np.abs(one.axes).argmax(axis=1)] > 0).all()


def test_cells_are_where_they_are_projected_to_the_upper_row_first() -> None:
    plane = leading_plane(CODES)
    unit = plane.project(plane.cells(4)).reshape(4, 4, 2)
    np.testing.assert_allclose(unit[0, :, 0], [0.125, 0.375, 0.625, 0.875], atol=1e-12)
    np.testing.assert_allclose(unit[:, 0, 1], [0.875, 0.625, 0.375, 0.125], atol=1e-12)


def test_the_priors_mass_is_a_normals_and_nearly_all_of_it_is_on_the_plane() -> None:
    plane = Plane(np.zeros(2), np.eye(2), np.array([-1.0, -1.0]), 2.0)
    assert plane.prior_mass(1)[0, 0] == pytest.approx(0.6826894921**2)
    mass = leading_plane(CODES).prior_mass(CELLS)
    assert 0.99 < mass.sum() <= 1.0
    shifted = Plane(np.array([10.0, 0.0]), np.eye(2), np.array([-12.0, -3.0]), 6.0).prior_mass(6)
    assert shifted.argmax() % 6 in (1, 2)  # two units from the left edge, where the projected origin is
    np.testing.assert_allclose(shifted, shifted[::-1], rtol=1e-9)


def test_a_decoder_that_makes_real_pictures_everywhere_has_no_holes() -> None:
    real = judged(RENDERER.pixels(leading_plane(CODES).cells(CELLS)))
    exhibit = holes(RENDERER, Codes(CODES, None), real, features_of)  # type: ignore[arg-type]
    assert exhibit is not None
    assert shares(exhibit.note) == [0.0, 0.0]


def test_a_prior_beside_the_codes_falls_into_a_hole() -> None:
    codes = np.random.default_rng(3).normal(size=(400, 6)) * [1.0, 1.0, 0.0, 0.0, 0.0, 0.0] + [30.0, 0, 0, 0, 0, 0]
    real = judged(RENDERER.pixels(codes))
    exhibit = holes(RENDERER, Codes(codes, None), real, features_of)  # type: ignore[arg-type]
    assert exhibit is not None
    from_prior, from_codes = shares(exhibit.note)
    assert from_prior > 99.0
    assert from_codes < 50.0


def test_what_leaves_no_distance_to_measure_by_is_left_out() -> None:
    real = judged(RENDERER.pixels(CODES))
    assert holes(RENDERER, Codes(CODES[:, :1], None), real, features_of) is None  # type: ignore[arg-type]
    same = judged(np.repeat(real.rows[:1], 50, axis=0))
    assert holes(RENDERER, Codes(CODES, None), same, features_of) is None  # type: ignore[arg-type]
    real.features[0, 0] = np.inf
    assert holes(RENDERER, Codes(CODES, None), real, features_of) is None  # type: ignore[arg-type]


def test_codes_that_never_move_still_have_a_plane() -> None:
    assert holes(RENDERER, Codes(np.zeros((50, 6)), None), judged(RENDERER.pixels(CODES)), features_of) is not None  # type: ignore[arg-type]


def test_codes_that_are_the_priors_are_no_nats_from_it() -> None:
    size, count = 6, 20_000
    sigma = 0.6
    mean = math.sqrt(1.0 - sigma**2) * np.random.default_rng(4).normal(size=(count, size))
    posteriors = Codes(mean, np.full((count, size), 2.0 * math.log(sigma)))
    for codes, expected in ((posteriors, 0.0), (Codes(mean + 1.0, posteriors.log_variance), size / 2.0)):
        exhibit = holes(RENDERER, codes, judged(RENDERER.pixels(CODES)), features_of)  # type: ignore[arg-type]
        assert exhibit is not None
        nats = re.search(r"together are ([\d.]+) nats", exhibit.note)
        assert nats is not None and float(nats[1]) == pytest.approx(expected, abs=0.05)
