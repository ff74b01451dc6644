"""Which split a sample belongs to: a function of what it looks like, and of nothing else.

A picture's place is drawn from its perceptual hash, so that equal pictures and most that look the same land on one
side whatever their names; nothing moves when data is appended or listed in another order; every class is split in the
same shares in expectation. What looks the same, has another hash and would land on another side bridges two splits:
of such a pair the one that comes later in the order of content is left out (docs/decisions/0012).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from itertools import islice

import numpy as np
import numpy.typing as npt

from components.prepare.manifest import SplitName
from components.prepare.perceptual import NEAR_STEPS, close_pairs, difference_in_steps
from components.prepare.settings import DataSettings

SPLIT_NAMES: tuple[SplitName, ...] = ("train", "validation", "test")
_PAIRS_AT_ONCE = 32


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
    contents: npt.NDArray[np.int64],
    splits: npt.NDArray[np.int8],
    samples: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.uint8]],
) -> dict[int, int]:
    """Rows that look like a row of another split.

    Args:
        looks: perceptual hash of every row, uint64 [N]; rows stand in the order of their content.
        contents: the first row of the same content, int64 [N].
        splits: number of every row's split, int8 [N], the same for equal hashes.
        samples: gives the pictures of rows, uint8 [n, C, H, W].

    Returns:
        Each row to leave out, with the row (one that stays) that it looks like.
    """
    # By look, each look's rows one after the other; np.unique would hold several times as much.
    order = np.argsort(looks, kind="stable").astype(np.int32)
    ordered = looks[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])).astype(np.int32)
    pairs = close_pairs(ordered[starts], splits[order[starts]])
    if not len(pairs):
        return {}
    ends = np.append(starts[1:], len(looks))
    members = {
        look: [row for row in order[starts[look] : ends[look]].tolist() if contents[row] == row]
        for look in np.unique(pairs).tolist()
    }
    likeness: dict[int, list[int]] = defaultdict(list)  # of each row, the earlier ones
    candidates = ((one, other) for left, right in pairs.tolist() for one in members[left] for other in members[right])
    while chosen := list(islice(candidates, _PAIRS_AT_ONCE)):
        part = np.array(chosen, dtype=np.int64)
        alike = difference_in_steps(samples(part[:, 0]), samples(part[:, 1])) <= NEAR_STEPS
        for one, other in [pair for pair, same in zip(chosen, alike.tolist(), strict=True) if same]:
            likeness[max(one, other)].append(min(one, other))
    left_out: dict[int, int] = {}
    for row in sorted(likeness):
        staying = [other for other in likeness[row] if other not in left_out]
        if staying:
            left_out[row] = min(staying)
    copies = np.flatnonzero(np.isin(contents, list(left_out)))
    return {row: left_out[int(contents[row])] for row in copies.tolist()}
