"""Grey from colour, and colour from grey."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def luma(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Grey pictures by ITU-R BT.601, section 2.5.1, in whole numbers: the same on every machine.

    Args:
        pictures: uint8 [..., C, H, W], C 1 or 3.

    Returns:
        uint8 [..., 1, H, W].
    """
    if pictures.shape[-3] == 1:
        return pictures
    red, green, blue = (pictures[..., channel, :, :].astype(np.int32) for channel in range(3))
    grey = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
    return grey.astype(np.uint8)[..., None, :, :]


def with_channels(pictures: npt.NDArray[np.uint8], channels: int) -> npt.NDArray[np.uint8]:
    """Pictures with 1 (grey) or 3 (colour) channels.

    Args:
        pictures: uint8 [N, C, H, W], C 1 or 3.
        channels: 1 or 3.

    Returns:
        uint8 [N, channels, H, W].
    """
    if channels == 1:
        return luma(pictures)
    return pictures if pictures.shape[1] == 3 else np.repeat(pictures, 3, axis=1)
