"""Perceptual hashes: the same bits everywhere, still under small changes, apart for other pictures."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from components.prepare.perceptual import (
    NEAR_BITS,
    NEAR_STEPS,
    close_pairs,
    difference_in_steps,
    perceptual_hashes,
)


def smooth(count: int, side: int = 32, channels: int = 3, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Pictures of few random waves, as photographs mostly are."""
    generator = np.random.Generator(np.random.PCG64(seed))
    where = (np.arange(side) + 0.5) * np.pi / side
    waves = np.cos(np.arange(6)[:, None] * where)
    weights = generator.normal(size=(count, channels, 6, 6)) / (1 + np.arange(6)[:, None] + np.arange(6))
    fields = np.einsum("nckl,kh,lw->nchw", weights, waves, waves)
    return np.clip(np.rint(127.5 + 60 * fields), 0, 255).astype(np.uint8)


def saved_again(picture: npt.NDArray[np.uint8], quality: int) -> npt.NDArray[np.uint8]:
    stream = io.BytesIO()
    Image.fromarray(picture.transpose(1, 2, 0)).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream)).transpose(2, 0, 1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [8, 28, 64])
def test_the_hash_is_that_of_sums_in_whole_numbers(side: int, channels: int) -> None:
    """By Python's own integers, which never round: so no library's order of adding matters."""
    picture = smooth(1, side, channels, seed=side)
    basis = [[round(np.cos(np.pi * (2 * i + 1) * k / (2 * side)) * 4096) for i in range(side)] for k in range(8)]
    planes = picture[0].astype(int).tolist()
    if channels == 3:
        grey = [
            [(19595 * planes[0][y][x] + 38470 * planes[1][y][x] + 7471 * planes[2][y][x] + 32768) >> 16
             for x in range(side)] for y in range(side)
        ]  # fmt: skip
    else:
        grey = planes[0]
    rows = [[sum(basis[k][y] * grey[y][x] for y in range(side)) for x in range(side)] for k in range(8)]
    waves = [sum(basis[m][x] * rows[k][x] for x in range(side)) for k in range(8) for m in range(8)][1:]
    bound = sorted(waves)[31] + round(16 * side / 2 * 4096**2)
    expected = sum(1 << place for place, wave in enumerate(waves) if wave > bound)
    assert perceptual_hashes(picture).tolist() == [expected]


def test_a_hash_does_not_depend_on_its_neighbours_nor_on_strides() -> None:
    pictures = smooth(20)
    together = perceptual_hashes(pictures)
    alone = [perceptual_hashes(picture[None])[0] for picture in pictures]
    strided = np.ascontiguousarray(pictures.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert together.tolist() == alone == perceptual_hashes(strided).tolist()


def test_saved_again_a_picture_looks_the_same_and_another_does_not() -> None:
    pictures = smooth(60, channels=1).repeat(3, axis=1)
    again = np.stack([saved_again(picture, 85) for picture in pictures])
    bits = np.bitwise_count(perceptual_hashes(pictures) ^ perceptual_hashes(again))
    assert (bits <= NEAR_BITS).mean() > 0.9
    assert (difference_in_steps(pictures, again) <= NEAR_STEPS).all()
    others = np.roll(pictures, 1, axis=0)
    assert (np.bitwise_count(perceptual_hashes(pictures) ^ perceptual_hashes(others)) > NEAR_BITS).all()
    assert (difference_in_steps(pictures, others) > NEAR_STEPS).all()


def test_a_picture_of_one_colour_has_a_hash() -> None:
    assert perceptual_hashes(np.full((2, 1, 16, 16), 7, dtype=np.uint8)).tolist() == [0, 0]
    assert perceptual_hashes(np.zeros((1, 3, 1, 1), dtype=np.uint8)).tolist() == [0]


def test_a_shift_of_all_values_is_its_own_difference() -> None:
    pictures = np.clip(smooth(5), 0, 200)
    assert difference_in_steps(pictures, pictures + np.uint8(9)) == pytest.approx([9.0] * 5, rel=1e-3)
    assert difference_in_steps(pictures, pictures).tolist() == [0.0] * 5


def test_fine_detail_is_no_difference_and_is_symmetric() -> None:
    picture = np.full((1, 1, 32, 32), 100, dtype=np.uint8)
    striped = picture.copy()
    striped[:, :, :, ::2] += 50
    striped[:, :, :, 1::2] -= 50
    assert difference_in_steps(picture, striped)[0] < 5.0  # of a difference of 50 at every pixel
    assert difference_in_steps(picture, striped) == difference_in_steps(striped, picture)


@settings(max_examples=40, deadline=None)
@given(
    centers=st.lists(st.integers(0, 2**63 - 1), min_size=0, max_size=12),
    flips=st.lists(st.lists(st.integers(0, 62), max_size=4), max_size=30),
)
def test_pairs_are_all_close_ones_and_no_others(centers: list[int], flips: list[list[int]]) -> None:
    values = set(centers)
    for number, places in enumerate(flips):
        value = centers[number % len(centers)] if centers else 0
        for place in places:
            value ^= 1 << place
        values.add(value)
    hashes = np.array(sorted(values), dtype=np.uint64)
    expected = [
        [one, other]
        for one in range(len(hashes))
        for other in range(one + 1, len(hashes))
        if int(hashes[one] ^ hashes[other]).bit_count() <= NEAR_BITS
    ]
    assert close_pairs(hashes).tolist() == expected
