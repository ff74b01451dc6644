"""Laws of resizing: one result for every size and fit, that of the definition in float64."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from components.prepare.decoding.resize import resize_square, to_square
from components.prepare.decoding.weights import bands

Fit = Literal["crop", "pad"]
TIE = 1e-4  # how near to a half a value must be for its rounding to be free


def noise(height: int, width: int, channels: int = 1, seed: int = 7) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).integers(0, 256, (channels, height, width), dtype=np.uint8)


def keys(distance: np.ndarray) -> np.ndarray:
    """Keys 1981, eq. 15, a = -1/2."""
    x, a = np.abs(distance), -0.5
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def matrix(inputs: int, outputs: int) -> np.ndarray:
    """Every output's weights over every input, from the definition."""
    ratio = inputs / outputs
    centres = (np.arange(outputs)[:, None] + 0.5) * ratio
    weights = keys((np.arange(inputs) + 0.5 - centres) / max(ratio, 1.0))
    return weights / weights.sum(axis=1, keepdims=True)


def reference(picture: np.ndarray, pixels: int, fit: Fit) -> np.ndarray:
    """float64 [C, pixels, pixels] before rounding: a square first, then the definition."""
    _, height, width = picture.shape
    if fit == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = picture[:, top : top + side, left : left + side]
    else:
        side = max(height, width)
        above, before = (side - height) // 2, (side - width) // 2
        square = np.pad(picture, ((0, 0), (above, side - height - above), (before, side - width - before)), mode="edge")
    weights = matrix(side, pixels)
    result: np.ndarray = weights @ square.astype(np.float64) @ weights.T
    return result


SHAPES = [
    (64, 64, 16),
    (100, 150, 64),
    (333, 217, 32),
    (17, 900, 8),
    (9, 11, 40),
    (1, 5, 8),
    (257, 255, 256),
    (64, 64, 63),
]


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize(("height", "width", "pixels"), SHAPES)
@pytest.mark.parametrize("contrast", ["noise", "black and white"])
def test_every_pixel_is_that_of_the_definition_but_for_ties(
    height: int, width: int, pixels: int, fit: Fit, contrast: str
) -> None:
    picture = noise(height, width, 3)
    if contrast == "black and white":
        picture = (picture > 127).astype(np.uint8) * np.uint8(255)
    exact = reference(picture, pixels, fit)
    resized = resize_square(picture, pixels, fit)
    off = resized != np.clip(np.rint(exact), 0, 255)
    assert np.abs(resized - exact.clip(0, 255)).max() <= 0.5 + TIE
    assert (np.abs(exact[off] - np.floor(exact[off]) - 0.5) < TIE).all()


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_a_picture_far_wider_than_high_is_that_of_the_definition(fit: Fit) -> None:
    picture = noise(8, 3_000, 3)
    exact = reference(picture, 16, fit)
    assert np.abs(resize_square(picture, 16, fit) - exact.clip(0, 255)).max() <= 0.5 + TIE


def test_a_large_picture_is_resized_piece_by_piece_to_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = noise(150, 170, 3)
    at_once = resize_square(picture, 16)
    monkeypatch.setattr("components.prepare.decoding.resize.VALUES_AT_ONCE", 1_000)
    monkeypatch.setattr("components.prepare.decoding.weights.KEPT_INPUTS", 0)
    assert np.array_equal(resize_square(picture, 16), at_once)


def test_no_order_of_summation_changes_a_bit() -> None:
    picture = noise(301, 301)
    rows = bands(301, 0, 301, 64, 2.0**-43)
    for band in rows:
        used = picture[0, band.first_input : band.last_input].astype(np.float64)
        backwards = sum(
            np.outer(band.weights[:, place], used[place]) for place in reversed(range(band.weights.shape[1]))
        )
        assert np.array_equal(band.weights @ used, backwards)


@pytest.mark.parametrize(
    ("size", "start", "length", "outputs"),
    [(301, 0, 301, 64), (40, -5, 51, 8), (3, -100, 203, 16), (40, 2.25, 30.5, 8)],
)
def test_weights_sum_to_one(size: int, start: float, length: float, outputs: int) -> None:
    for band in bands(size, start, length, outputs, 2.0**-27):
        assert np.abs(band.weights.sum(axis=1) - 1.0).max() < 1e-6


def test_the_same_size_is_the_identity() -> None:
    picture = noise(16, 16, 3)
    assert np.array_equal(resize_square(picture, 16), picture)


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("value", [0, 1, 128, 254, 255])
@pytest.mark.parametrize("pixels", [8, 13, 40])
def test_a_constant_stays_constant(value: int, pixels: int, fit: Fit) -> None:
    resized = resize_square(np.full((3, 17, 23), value, dtype=np.uint8), pixels, fit)
    assert resized.shape == (3, pixels, pixels)
    assert (resized == value).all()


def test_the_mean_is_about_kept() -> None:
    picture = noise(64, 64) // 2 + 64
    for pixels in (8, 16, 31):
        assert resize_square(picture, pixels).mean() == pytest.approx(picture.mean(), abs=1.5)


def test_a_fine_chequerboard_becomes_grey_and_is_not_aliased() -> None:
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)[None]
    assert np.abs(resize_square(board, 16)[:, 2:-2, 2:-2].astype(float) - 127.5).max() < 16


def test_the_centre_is_kept_by_cropping_and_the_border_repeated_by_padding() -> None:
    picture = np.zeros((1, 10, 30), dtype=np.uint8)
    picture[:, :, 10:20] = noise(10, 10)
    assert np.array_equal(resize_square(picture, 10), picture[:, :, 10:20])
    padded = resize_square(picture, 30, "pad")
    assert np.array_equal(padded[:, 10:20], picture)
    assert (padded[:, :10] == picture[:, :1]).all() and (padded[:, 20:] == picture[:, -1:]).all()


def test_turning_or_mirroring_before_or_after_makes_no_difference() -> None:
    picture = noise(50, 50, 3)
    resized = resize_square(picture, 20)
    for view, shown in (
        (picture[:, ::-1], resized[:, ::-1]),
        (picture[:, :, ::-1], resized[:, :, ::-1]),
    ):
        assert np.array_equal(resize_square(view, 20), shown)
    transposed = resize_square(picture.transpose(0, 2, 1), 20).transpose(0, 2, 1).astype(int)
    assert np.abs(transposed - resized).max() <= 1


def test_strides_of_the_input_make_no_difference() -> None:
    picture = noise(37, 37, 3).transpose(1, 2, 0)
    one, other = (to_square(view, 16, (0, 0, 37, 37)) for view in (picture, np.ascontiguousarray(picture)))
    assert np.array_equal(one, other)
    assert one.flags.c_contiguous
