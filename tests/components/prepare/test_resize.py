"""Laws of resizing."""

from __future__ import annotations

import numpy as np
import pytest

from components.prepare.sources.resize import resize_square


def noise(height: int, width: int, channels: int = 1) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(7)).integers(0, 256, (channels, height, width), dtype=np.uint8)


def test_the_same_size_is_the_identity() -> None:
    picture = noise(16, 16, 3)
    assert np.array_equal(resize_square(picture, 16), picture)


@pytest.mark.parametrize("value", [0, 1, 128, 254, 255])
@pytest.mark.parametrize("pixels", [8, 13, 40])
def test_a_constant_stays_constant(value: int, pixels: int) -> None:
    resized = resize_square(np.full((3, 17, 23), value, dtype=np.uint8), pixels)
    assert resized.shape == (3, pixels, pixels)
    assert (resized == value).all()


@pytest.mark.parametrize("pixels", [8, 16, 31])
def test_the_mean_is_about_kept(pixels: int) -> None:
    picture = noise(64, 64) // 2 + 64
    assert resize_square(picture, pixels).mean() == pytest.approx(picture.mean(), abs=1.5)


def test_a_fine_chequerboard_becomes_grey_and_is_not_aliased() -> None:
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)[None]
    assert np.abs(resize_square(board, 16)[:, 2:-2, 2:-2].astype(float) - 127.5).max() < 16


def test_values_are_rounded_and_not_cut_off() -> None:
    ramp = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None, None], 64, axis=1)
    resized = resize_square(ramp, 32).astype(float)
    exact = np.arange(32) * 8.0 + 2.0
    assert np.abs(resized[0, 5, 4:-4] - exact[4:-4]).max() <= 0.5


def test_the_centre_is_kept() -> None:
    picture = np.zeros((1, 10, 30), dtype=np.uint8)
    picture[:, :, 10:20] = noise(10, 10)
    assert np.array_equal(resize_square(picture, 10), picture[:, :, 10:20])
