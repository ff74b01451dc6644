"""Laws of the pictures: a grid can be cut back into its tiles, a hash tells any two pictures apart."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from components.figures.pictures import GAP_VALUE, data_uri, grid, scatter


def decoded(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png))


def noise(count: int, height: int, width: int, channels: int) -> NDArray[np.uint8]:
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (count, height, width, channels), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("gap", [0, 3])
def test_cutting_a_grid_gives_the_tiles_back(channels: int, gap: int) -> None:
    images = noise(7, 5, 4, channels)
    picture = decoded(grid(images, 3, scale=1, gap=gap))
    pixels = np.asarray(picture).reshape(picture.height, picture.width, channels)
    assert pixels.shape == (3 * 5 + 2 * gap, 3 * 4 + 2 * gap, channels)
    covered = np.zeros(pixels.shape, dtype=bool)
    for index, image in enumerate(images):
        top, left = index // 3 * (5 + gap), index % 3 * (4 + gap)
        np.testing.assert_array_equal(pixels[top : top + 5, left : left + 4], image)
        covered[top : top + 5, left : left + 4] = True
    assert (pixels[~covered] == GAP_VALUE).all()


def test_magnification_repeats_pixels_and_invents_none() -> None:
    images = noise(4, 6, 6, 1)
    large = np.asarray(decoded(grid(images, 2, scale=3, gap=0)))
    small = np.asarray(decoded(grid(images, 2, scale=1, gap=0)))
    np.testing.assert_array_equal(large, np.kron(small, np.ones((3, 3), dtype=np.uint8)))


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_grey_stays_grey(channels: int, mode: str) -> None:
    assert decoded(grid(noise(2, 4, 4, channels), 2)).mode == mode


@pytest.mark.parametrize(("side", "shown"), [(8, 56), (28, 56), (32, 64), (64, 64)])
def test_small_tiles_become_legible_and_large_ones_stay(side: int, shown: int) -> None:
    assert decoded(grid(noise(1, side, side, 1), 1)).size == (shown, shown)


def test_a_grid_is_no_wider_than_its_pictures() -> None:
    assert decoded(grid(noise(2, 4, 4, 1), 8, scale=1, gap=1)).size == (9, 4)


@pytest.mark.parametrize("shape", [(0, 4, 4, 1), (2, 4, 4, 2), (4, 4, 1)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"picture|Pictures"):
        grid(np.zeros(shape, dtype=np.uint8), 2)


def colored_pixels(png: bytes, *, samples: bool) -> int:
    red, _, blue = np.moveaxis(np.asarray(decoded(png)).astype(int), 2, 0)
    return int((((red - blue) if samples else (blue - red)) > 60).sum())


def test_a_missing_mode_leaves_the_real_data_visible() -> None:
    generator = np.random.default_rng(1)
    centers = np.repeat([[-1.0, 0.0], [1.0, 0.0]], 200, axis=0)
    reference = (centers + generator.normal(0, 0.02, (400, 2))).astype(np.float32)
    both, one = scatter(reference, reference), scatter(reference[:200], reference)
    assert colored_pixels(one, samples=False) > 2 * colored_pixels(both, samples=False)
    assert colored_pixels(both, samples=True) > 1.5 * colored_pixels(one, samples=True)


def test_scatter_survives_what_a_broken_model_gives() -> None:
    reference = np.array([[0.0, 0.0], [1.0, 2.0]], dtype=np.float32)
    broken = np.array([[np.nan, 0.0], [np.inf, 1.0], [1e30, -1e30]], dtype=np.float32)
    assert scatter(broken, reference) == scatter(broken, reference)
    assert decoded(scatter(np.zeros((0, 2), dtype=np.float32), reference[:1])).mode == "RGB"
    with pytest.raises(ValueError, match="reference"):
        scatter(reference, broken)


def test_a_data_uri_carries_the_bytes() -> None:
    png = grid(noise(1, 2, 2, 1), 1)
    prefix, _, body = data_uri(png).partition(",")
    assert prefix == "data:image/png;base64"
    assert base64.b64decode(body) == png


def test_neglected_centers_are_circled_and_counted() -> None:
    reference = np.repeat(np.array([[-1.0, 0.0], [1.0, 0.0]], dtype=np.float32), 50, axis=0)
    plain = scatter(reference[:50], reference)
    circled = scatter(reference[:50], reference, np.array([[1.0, 0.0]]))
    dark = [np.asarray(decoded(png)).max(axis=2) < 60 for png in (plain, circled)]
    rows, columns = np.nonzero(dark[1] & ~dark[0])
    in_legend = rows < 40
    assert in_legend.any()
    # The circle lies around the right center, in the right half of the picture and at half of its height.
    assert columns[~in_legend].min() > 0.5 * dark[0].shape[1]
    assert (
        columns[~in_legend].max() - columns[~in_legend].min() == rows[~in_legend].max() - rows[~in_legend].min() == 28
    )
    assert scatter(reference[:50], reference, np.zeros((0, 2))) == plain
