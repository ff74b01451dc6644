"""A decoder whose every answer is known: pixels are a linear map of the latent, rounded and clipped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class LinearRenderer:
    """pixels = 127 + latent @ weights, and 20 more for each class if conditional. Stands in for an exported graph."""

    def __init__(self, weights: npt.NDArray[np.float64], *, side: int, class_names: Sequence[str] = ()) -> None:
        self.weights, self.side, self.class_names = weights, side, list(class_names)
        self.latent_size, self.conditional = len(weights), bool(class_names)

    def told(self, label: int) -> str:
        return f" The class is {self.class_names[label]}." if self.class_names else ""

    def pixels(self, latents: npt.NDArray[Any], labels: Any = 0) -> npt.NDArray[np.uint8]:
        shift = 20.0 * np.broadcast_to(labels, len(latents))[:, None] if self.conditional else 0.0
        levels = np.rint(127.0 + latents @ self.weights + shift).clip(0, 255).astype(np.uint8)
        return levels.reshape(len(latents), self.side, self.side, 1)


def tiles(png: bytes, *, side: int, factor: int, gap: int = 2) -> npt.NDArray[np.uint8]:
    """The tiles of a grid picture in reading order, [rows, columns, side, side]."""
    import io

    from PIL import Image

    canvas = np.asarray(Image.open(io.BytesIO(png)))
    pitch = side * factor + gap
    rows, columns = ((extent + gap) // pitch for extent in canvas.shape[:2])
    found = [
        [canvas[r * pitch :, c * pitch :][: side * factor : factor, : side * factor : factor] for c in range(columns)]
        for r in range(rows)
    ]
    return np.asarray(found)
