"""Ways through the latent space: ends, shells, and what has no direction."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.predict.latents import standard_normal_latents
from serving.predict.space import PATHS, around, neighbours_of, path_between, truncated

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "arcs.json").read_text(encoding="utf-8"))["paths"]
A, B = standard_normal_latents(3, 2, 128)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("steps", [2, 3, 17])
def test_a_path_has_its_ends_and_is_the_same_backwards(path: str, steps: int) -> None:
    there, back = path_between(A, B, steps, path), path_between(B, A, steps, path)
    assert there.dtype == np.float32 and there.shape == (steps, 128)
    assert there[0].tobytes() == A.tobytes() and there[-1].tobytes() == B.tobytes()
    np.testing.assert_allclose(there, back[::-1], atol=1e-6)


def test_a_spherical_path_turns_evenly_and_its_norm_is_linear() -> None:
    found = path_between(A, B, 9).astype(np.float64)
    norms = np.linalg.norm(found, axis=1)
    np.testing.assert_allclose(norms, np.linspace(norms[0], norms[-1], 9), rtol=1e-6)
    unit = found / norms[:, None]
    angles = np.arccos((unit[1:] * unit[:-1]).sum(axis=1))
    np.testing.assert_allclose(angles, np.arccos(unit[0] @ unit[-1]) / 8, rtol=1e-5)


@pytest.mark.parametrize("path", GOLDEN, ids=[path["name"] for path in GOLDEN])
def test_a_spherical_path_is_the_reports(path: dict[str, Any]) -> None:
    expected = np.array(path["latents"])
    found = path_between(*(np.array(path[end], dtype=np.float32) for end in ("start", "end")), len(expected))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_a_spherical_path_is_slerp_on_the_unit_sphere() -> None:
    a, b = np.array([1, 0, 0], dtype=np.float32), np.array([0, 1, 0], dtype=np.float32)
    quarter = path_between(a, b, 3)[1]
    np.testing.assert_allclose(quarter, [math.sqrt(0.5), math.sqrt(0.5), 0], atol=1e-7)


def test_the_chord_leaves_the_shell_and_the_arc_does_not() -> None:
    shell = math.sqrt(128)
    chord, arc = (np.linalg.norm(path_between(A, B, 3, path)[1]) for path in ("linear", "spherical"))
    assert chord < 0.85 * shell
    assert abs(arc - shell) < 0.1 * shell


def test_opposite_latents_turn_through_a_fixed_axis() -> None:
    a = np.array([3, 1, 2], dtype=np.float32)
    found = path_between(a, -a, 5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), np.linalg.norm(a), rtol=1e-6)
    middle = found[2].astype(np.float64)
    assert abs(middle @ a) < 1e-5
    # The second axis lies least along a: the middle is in the plane of both.
    plane = np.array([[3, 1, 2], [0, 1, 0]], dtype=np.float64)
    assert np.linalg.matrix_rank(np.vstack([plane, middle]), tol=1e-5) == 2
    assert middle[1] > 0
    np.testing.assert_array_equal(found, path_between(a, -a, 5))


@pytest.mark.parametrize(
    ("a", "b"),
    [([0.0, 0.0], [2.0, 4.0]), ([2.0, 4.0], [0.0, 0.0]), ([0.0, 0.0], [0.0, 0.0]), ([1.0, 2.0], [2.0, 4.0])],
)
def test_without_an_angle_the_path_is_the_chord(a: list[float], b: list[float]) -> None:
    start, end = np.array(a, dtype=np.float32), np.array(b, dtype=np.float32)
    np.testing.assert_allclose(path_between(start, end, 5), path_between(start, end, 5, "linear"), atol=1e-6)


def test_in_one_dimension_there_is_no_way_around() -> None:
    one = np.ones(1, dtype=np.float32)
    np.testing.assert_allclose(path_between(one, -one, 5)[:, 0], [1, 0.5, 0, -0.5, -1])


def test_nearly_equal_and_extreme_latents_stay_finite() -> None:
    for scale in (1e-38, 1.0, 1e38):
        a = np.array([1, 2, -1], dtype=np.float32) * np.float32(scale)
        for b in (np.nextafter(a, np.float32(0)), -np.nextafter(a, np.float32(0)), a[::-1].copy()):
            found = path_between(a, b, 7)
            assert np.isfinite(found).all()
            assert (np.abs(found) <= np.linalg.norm(a.astype(np.float64)) * 1.001).all()


def test_a_truncation_of_one_changes_no_byte() -> None:
    assert truncated(A, 1.0) is A
    np.testing.assert_array_equal(truncated(A, 0.5), A / 2)
    wide = standard_normal_latents(0, 2000, 16)
    assert abs(truncated(wide, 0.7).std() - 0.7) < 0.01


@pytest.mark.parametrize("radius", [0.1, 0.5, 0.9, 1.0])
def test_neighbours_of_the_prior_are_of_the_prior(radius: float) -> None:
    z, e = np.split(standard_normal_latents(11, 4000, 8), 2)
    mixed = np.concatenate([around(one, noise[None], radius) for one, noise in zip(z, e, strict=True)])
    assert abs(mixed.mean()) < 0.03 and abs(mixed.std() - 1.0) < 0.02
    # The correlation with the latent is cos(t).
    assert abs((mixed * z).mean() - math.cos(radius * math.pi / 2)) < 0.03


def test_neighbours_are_near_and_name_their_noise() -> None:
    z = standard_normal_latents(5, 1, 32, first_index=3)[0]
    noise = standard_normal_latents(5, 4, 32, first_index=4)
    np.testing.assert_array_equal(neighbours_of(z, 4, 1.0, seed=5, index=3), noise)
    distances = [np.linalg.norm(neighbours_of(z, 4, r, seed=5, index=3) - z, axis=1).max() for r in (0.01, 0.2, 0.8)]
    assert distances == sorted(distances) and distances[0] < 0.2
    np.testing.assert_array_equal(
        neighbours_of(z, 4, 0.3, seed=5, index=3)[:2], neighbours_of(z, 2, 0.3, seed=5, index=3)
    )
