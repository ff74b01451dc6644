"""When two pictures look the same: the signs of their low frequencies, and how far these lie apart.

The hash is Zauner's (2010, "Implementation and benchmarking of perceptual image hash functions", section 3.2.1): the
signs of 63 low frequencies of the discrete cosine transform against their median, here with a margin. All sums are
whole numbers below 2^53, so that every machine gives the same bits, in whatever order it adds.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from components.prepare.decoding.channels import luma

FREQUENCIES = 8
"""Cosines along each side; smaller pictures have fewer."""
NEAR_BITS = 2
"""Differing bits of two hashes up to which pictures are compared."""
NEAR_STEPS = 3.0
"""Root mean square difference of two pictures' low frequencies, in steps of 8 bits, up to which they look the same.

Of crops of photographs at 32 to 128 pixels, saved again as JPEG (quality 50 to 90) or WebP (60), or made smaller and
larger again, at least 97 % are within both bounds of what they come from. Of MNIST's 60,000 training digits, of which
no two are the same drawing, 16 are within both bounds of another.
"""
MARGIN_STEPS = 16.0
"""How far above the median a frequency's amplitude must lie to set its bit, so that noise alone sets none."""
_UNIT = 4096.0
_BANDS = NEAR_BITS + 1
_COMPARED_AT_ONCE = 2**16


@lru_cache(maxsize=64)
def _cosines(size: int) -> npt.NDArray[np.float64]:
    """The first rows of the DCT-II, in whole multiples of 1/4096: [min(8, size), size]."""
    frequency = np.arange(min(FREQUENCIES, size))[:, None]
    return np.rint(np.cos(np.pi * (2 * np.arange(size) + 1) * frequency / (2 * size)) * _UNIT)


def _transformed(planes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Low frequencies of whole-numbered planes [..., H, W], exactly: [..., K, L]."""
    height, width = planes.shape[-2:]
    result: npt.NDArray[np.float64] = _cosines(height) @ planes @ _cosines(width).T
    return result


def perceptual_hashes(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """One number a picture that small changes leave as it is.

    Args:
        pictures: uint8 [N, C, H, W], C 1 or 3.

    Returns:
        uint64 [N]: 63 bits, fewer for pictures below 8 pixels.
    """
    grey = luma(pictures)[:, 0].astype(np.float64)
    frequencies = _transformed(grey).reshape(len(pictures), -1)[:, 1:]
    if frequencies.shape[1] == 0:
        return np.zeros(len(pictures), dtype=np.uint64)
    height, width = pictures.shape[2:]
    # Of the orthonormal transform, brought to the unit of the sums above.
    margin = np.rint(MARGIN_STEPS * np.sqrt(height * width) / 2.0 * _UNIT**2)
    above = frequencies > np.median(frequencies, axis=1, keepdims=True) + margin
    places = np.uint64(1) << np.arange(above.shape[1], dtype=np.uint64)
    hashes: npt.NDArray[np.uint64] = (above * places).sum(axis=1, dtype=np.uint64)
    return hashes


def low_frequencies(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """What is left of pictures without their fine detail, as points whose distances are differences of pictures.

    Args:
        pictures: uint8 [N, C, H, W].

    Returns:
        [N, d]; the Euclidean distance of two is the root mean square difference of the smoothed pictures over all
        pixels and channels, in steps of 8 bits.
    """
    count, channels, height, width = pictures.shape
    frequencies = _transformed(pictures.astype(np.float64)) / _UNIT**2
    # Squared lengths of the rows of the DCT-II: the size for the constant, half of it for every cosine.
    lengths = [np.where(np.arange(min(FREQUENCIES, size)) == 0, size, size / 2.0) for size in (height, width)]
    frequencies /= np.sqrt(lengths[0][:, None] * lengths[1] * (channels * height * width))
    return frequencies.reshape(count, -1)


def difference_in_steps(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Distance of the low frequencies of pairs of pictures, uint8 [N, C, H, W] each: [N], in steps of 8 bits."""
    distance: npt.NDArray[np.float64] = np.linalg.norm(low_frequencies(first) - low_frequencies(second), axis=1)
    return distance


def close_pairs(
    hashes: npt.NDArray[np.uint64], groups: npt.NDArray[np.integer[Any]] | None = None
) -> npt.NDArray[np.int64]:
    """Pairs of different hashes that differ in at most ``NEAR_BITS`` bits.

    Two such hashes agree in one of three bands at least (the pigeonhole principle), so that only those which share a
    band are compared.

    Args:
        hashes: uint64 [N], all different.
        groups: a number for each, [N]; pairs within a group are left out. All pairs count where None.

    Returns:
        int64 [P, 2]: positions, the lower first, every pair once.
    """
    found = [np.empty((0, 2), dtype=np.int64)]
    width = 64 // _BANDS
    turns = 1 + len(hashes) // _COMPARED_AT_ONCE
    for band in range(_BANDS):
        mask = np.uint64(2 ** (64 - band * width if band == _BANDS - 1 else width) - 1)
        for turn in range(turns):  # some values of the band at a time: sorting all would take several times the memory
            rows = np.flatnonzero((hashes >> np.uint64(band * width) & mask) % np.uint64(turns) == np.uint64(turn))
            key = hashes[rows] >> np.uint64(band * width) & mask
            order = np.argsort(key, kind="stable")
            rows, ordered = rows[order], key[order]
            shift = 1
            while (matches := np.flatnonzero(ordered[shift:] == ordered[:-shift])).size:
                one, other = rows[matches], rows[matches + shift]
                near = np.bitwise_count(hashes[one] ^ hashes[other]) <= NEAR_BITS
                if groups is not None:
                    near &= groups[one] != groups[other]
                found.append(np.stack([np.minimum(one, other)[near], np.maximum(one, other)[near]], axis=1))
                shift += 1
    pairs: npt.NDArray[np.int64] = np.unique(np.concatenate(found), axis=0)
    return pairs
