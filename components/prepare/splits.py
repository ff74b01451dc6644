"""Which split a sample belongs to: a function of its content alone.

Equal pictures land on one side whatever their names, nothing moves when data is appended or listed in another
order, and every class is split in the same shares in expectation.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from components.prepare.manifest import SplitName
from components.prepare.settings import DataSettings


def content_hash(sample: npt.NDArray[np.generic]) -> bytes:
    """SHA-256 of one sample's bytes."""
    return hashlib.sha256(np.ascontiguousarray(sample).tobytes()).digest()


def split_of(digest: bytes, settings: DataSettings) -> SplitName:
    """The split of a sample with this content hash."""
    position = int.from_bytes(digest[:8], "little") / 2**64
    if position < settings.test_share:
        return "test"
    if position < settings.test_share + settings.validation_share:
        return "validation"
    return "train"
