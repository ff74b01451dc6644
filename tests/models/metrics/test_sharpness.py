"""Laws of sharpness: falls under blur, blind to brightness, merged by sums, with a covering interval of its ratio."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from models.metrics.sharpness import Sharpness, sharpness_ratio

Pictures = npt.NDArray[np.uint8]


def pictures(count: int = 40, channels: int = 1, seed: int = 0) -> Pictures:
    generator = np.random.Generator(np.random.PCG64(seed))
    return generator.integers(40, 200, (count, 12, 10, channels)).astype(np.uint8)


def blurred(original: Pictures) -> Pictures:
    """Mean over 3 by 3 pixels, edges repeated."""
    padded = np.pad(original.astype(float), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    height, width = original.shape[1:3]
    total = sum(padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3))
    return np.asarray(np.rint(total / 9.0), dtype=np.uint8)


def test_by_hand() -> None:
    picture = np.zeros((1, 3, 4, 1), dtype=np.uint8)
    picture[0, 1, 1, 0] = 10
    assert Sharpness.of(picture).mean == pytest.approx(np.var([40.0, -10.0]))


def test_falls_under_blur_again_and_again() -> None:
    sharp = pictures()
    soft = blurred(sharp)
    softer = blurred(soft)
    assert Sharpness.of(sharp).mean > 5.0 * Sharpness.of(soft).mean > 5.0 * Sharpness.of(softer).mean > 0.0
    assert sharpness_ratio(Sharpness.of(soft), Sharpness.of(sharp)).high < 0.2


@pytest.mark.parametrize("channels", [1, 3])
def test_brightness_changes_nothing_and_contrast_squares(channels: int) -> None:
    original = pictures(channels=channels)
    expected = Sharpness.of(original).mean
    assert Sharpness.of(original + np.uint8(50)).mean == pytest.approx(expected, rel=1e-12)
    assert Sharpness.of(255 - original).mean == pytest.approx(expected, rel=1e-12)
    assert Sharpness.of(original // 2 * 2 // 2).mean == pytest.approx(expected / 4.0, rel=0.02)


def test_gray_pictures_are_the_same_in_one_channel_and_in_three() -> None:
    gray = pictures()
    assert Sharpness.of(np.repeat(gray, 3, axis=3)).mean == pytest.approx(Sharpness.of(gray).mean, rel=1e-12)


def test_noise_is_sharper_and_flat_pictures_have_none() -> None:
    soft = blurred(pictures())
    noisy = soft + np.random.Generator(np.random.PCG64(1)).integers(0, 30, soft.shape).astype(np.uint8)
    assert sharpness_ratio(Sharpness.of(noisy), Sharpness.of(soft)).low > 1.0
    assert Sharpness.of(np.full((3, 8, 8, 1), 77, dtype=np.uint8)).mean == 0.0


@pytest.mark.parametrize("cut", [0, 1, 299, 600])
def test_merged_sums_are_those_of_the_whole(cut: int) -> None:
    every = pictures(600)
    whole, merged = Sharpness.of(every), Sharpness.of(every[:cut]) + Sharpness.of(every[cut:])
    assert merged.count == whole.count == 600
    assert merged.mean == pytest.approx(whole.mean)
    assert merged.variance_of_mean == pytest.approx(whole.variance_of_mean)


def test_the_standard_error_is_that_of_the_pictures() -> None:
    every = pictures(50)
    each = [Sharpness.of(every[index : index + 1]).mean for index in range(50)]
    assert Sharpness.of(every).variance_of_mean == pytest.approx(np.var(each, ddof=1) / 50)


def test_the_ratios_interval_covers_and_mirrors() -> None:
    """Two independent draws of the same pictures: the ratio is 1."""
    covered = 0
    for seed in range(100):
        first, second = Sharpness.of(pictures(30, seed=seed)), Sharpness.of(pictures(20, seed=seed + 1000))
        forward, backward = sharpness_ratio(first, second), sharpness_ratio(second, first)
        assert backward.high == pytest.approx(1.0 / forward.low)
        covered += forward.low <= 1.0 <= forward.high
    assert covered >= 86
    assert covered < 100


def test_what_has_no_sharpness_is_refused() -> None:
    flat = Sharpness.of(np.zeros((3, 8, 8, 1), dtype=np.uint8))
    assert sharpness_ratio(flat, Sharpness.of(pictures())).value == 0.0
    with pytest.raises(ValueError, match="flat"):
        sharpness_ratio(Sharpness.of(pictures()), flat)
    with pytest.raises(ValueError, match="at least 2 pictures"):
        _ = Sharpness.of(pictures(1)).variance_of_mean
    with pytest.raises(ValueError, match="uint8"):
        Sharpness.of(np.zeros((3, 8, 8, 2), dtype=np.uint8))
    with pytest.raises(ValueError, match="3 by 3"):
        Sharpness.of(np.zeros((3, 2, 8, 1), dtype=np.uint8))
    assert math.isclose(Sharpness.of(pictures(0)).total, 0.0)


@pytest.mark.parametrize("count", [2, 3])
def test_two_pictures_have_a_standard_error(count: int) -> None:
    every = pictures(count)
    each = [Sharpness.of(every[index : index + 1]).mean for index in range(count)]
    assert Sharpness.of(every).variance_of_mean == pytest.approx(np.var(each, ddof=1) / count)


def test_flat_pictures_are_exactly_equal() -> None:
    flat = Sharpness.of(np.full((3, 8, 8, 1), 77, dtype=np.uint8))
    assert flat.variance_of_mean == 0.0
    ratio = sharpness_ratio(flat, Sharpness.of(pictures()))
    assert (ratio.value, ratio.low, ratio.high) == (0.0, 0.0, 0.0)


def test_the_same_pictures_have_the_ratio_one() -> None:
    same = Sharpness.of(pictures(30))
    ratio = sharpness_ratio(same, same)
    assert ratio.value == 1.0
    assert ratio.low == pytest.approx(1.0 / ratio.high)
    half_width = 1.96 * math.sqrt(2.0 * same.variance_of_mean) / same.mean
    assert math.log(ratio.high) == pytest.approx(half_width, rel=1e-4)
