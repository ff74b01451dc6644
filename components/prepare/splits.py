"""Which split a sample belongs to: a function of what it looks like, and of nothing else.

A picture's place is drawn from its perceptual hash, so that equal pictures and most that look the same land on one
side whatever their names; nothing moves when data is appended or listed in another order; every class is split in the
same shares in expectation. What looks the same, has another hash and would land on another side bridges two splits:
of such a pair the one that comes later in the order of content is left out (docs/decisions/0012).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from components.prepare.manifest import SplitName
from components.prepare.perceptual import NEAR_BITS, NEAR_STEPS, close_pairs, low_frequencies
from components.prepare.settings import DataSettings

SPLIT_NAMES: tuple[SplitName, ...] = ("train", "validation", "test")
_ROWS_AT_ONCE = 256
_LOOKS_AT_ONCE = 65_536


def content_hash(sample: npt.NDArray[np.generic]) -> bytes:
    """SHA-256 of one sample's bytes."""
    return hashlib.sha256(np.ascontiguousarray(sample).tobytes()).digest()


def split_of(digest: bytes, settings: DataSettings) -> SplitName:
    """The split that a digest (at least 8 bytes, evenly distributed) draws."""
    position = int.from_bytes(digest[:8], "little") / 2**64
    if position < settings.test_share:
        return "test"
    if position < settings.test_share + settings.validation_share:
        return "validation"
    return "train"


def split_of_look(perceptual_hash: int, settings: DataSettings) -> SplitName:
    """The split of every picture with this perceptual hash."""
    return split_of(hashlib.sha256(perceptual_hash.to_bytes(8, "little")).digest(), settings)


def bridges(
    looks: npt.NDArray[np.uint64],
    splits: npt.NDArray[np.int8],
    contents: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.uint64]],
    samples: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.uint8]],
) -> dict[int, int]:
    """Rows that look like a row of another split.

    Args:
        looks: perceptual hash of every row, uint64 [N]; rows stand in the order of their content.
        splits: number of every row's split, int8 [N], the same for equal hashes.
        contents: gives what stands for the content of rows, uint64 [n, k].
        samples: gives the pictures of rows, uint8 [n, C, H, W].

    Returns:
        Each row to leave out, with the row (one that stays) that it looks like.
    """
    distinct = np.unique(looks)
    of_look = np.empty(len(distinct), dtype=splits.dtype)
    for part in _parts(len(looks)):
        of_look[np.searchsorted(distinct, looks[part])] = splits[part]
    involved = distinct[np.unique(close_pairs(distinct, of_look))]
    if not len(involved):
        return {}
    rows = np.concatenate([part.start + np.flatnonzero(np.isin(looks[part], involved)) for part in _parts(len(looks))])
    # Copies stand one after the other, and look the same: all of them are here.
    hashes = contents(rows)
    first = np.append(True, (hashes[1:] != hashes[:-1]).any(axis=1))
    originals = rows[first]
    left_out = _bridging(originals, looks, splits, samples)
    original_of = originals[np.cumsum(first) - 1]
    return {
        row: left_out[original]
        for row, original in zip(rows.tolist(), original_of.tolist(), strict=True)
        if original in left_out
    }


def _parts(rows: int) -> Iterator[slice]:
    return (slice(start, min(start + _LOOKS_AT_ONCE, rows)) for start in range(0, rows, _LOOKS_AT_ONCE))


def _bridging(
    rows: npt.NDArray[np.int64],
    looks: npt.NDArray[np.uint64],
    splits: npt.NDArray[np.int8],
    samples: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.uint8]],
) -> dict[int, int]:
    """Of rows of different content, in order, each that looks like an earlier one of another split that stays.

    Block against block: where thousands of pictures look alike, pair by pair would take hours.
    """
    staying: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]] = []
    left_out: dict[int, int] = {}
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        block = rows[start : start + _ROWS_AT_ONCE]
        points = low_frequencies(samples(block))
        like = np.full(len(block), -1, dtype=np.int64)
        for others, their_points in staying:
            alike = _alike(block, points, others, their_points, looks, splits)
            found = alike.any(axis=1) & (like < 0)
            like[found] = others[alike[found].argmax(axis=1)]
        alike = _alike(block, points, block, points, looks, splits)
        for position in range(len(block)):  # within the block one after the other: who stays decides on who follows
            before = np.flatnonzero(alike[position, :position] & (like[:position] < 0))
            if like[position] < 0 and len(before):
                like[position] = block[before[0]]
        left_out |= dict(zip(block[like >= 0].tolist(), like[like >= 0].tolist(), strict=True))
        staying.append((block[like < 0], points[like < 0]))
    return left_out


def _alike(
    rows: npt.NDArray[np.int64],
    points: npt.NDArray[np.float64],
    others: npt.NDArray[np.int64],
    their_points: npt.NDArray[np.float64],
    looks: npt.NDArray[np.uint64],
    splits: npt.NDArray[np.int8],
) -> npt.NDArray[np.bool_]:
    """Which rows look like which others and are of another split, [rows, others]."""
    alike: npt.NDArray[np.bool_] = splits[rows][:, None] != splits[others]
    alike &= np.bitwise_count(looks[rows][:, None] ^ looks[others]) <= NEAR_BITS
    if alike.any():
        squares = (points**2).sum(axis=1)[:, None] + (their_points**2).sum(axis=1) - 2.0 * points @ their_points.T
        alike &= squares <= NEAR_STEPS**2
    return alike
