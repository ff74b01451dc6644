"""Antialiased resizing with rounding, as Parmar et al. 2022 ("On aliased resizing") ask for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image


def resize_square(picture: npt.NDArray[np.uint8], pixels: int) -> npt.NDArray[np.uint8]:
    """Centre crop to a square, then resize by an antialiased bicubic filter in float32, then round.

    Args:
        picture: uint8 [C, H, W].
        pixels: side of the result.

    Returns:
        uint8 [C, pixels, pixels].
    """
    _, height, width = picture.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = picture[:, top : top + side, left : left + side]
    if side == pixels:
        return np.ascontiguousarray(square)
    planes = [
        np.asarray(
            Image.fromarray(plane.astype(np.float32), mode="F").resize((pixels, pixels), Image.Resampling.BICUBIC)
        )
        for plane in square
    ]
    resized: npt.NDArray[np.uint8] = np.clip(np.rint(np.stack(planes)), 0, 255).astype(np.uint8)
    return resized
