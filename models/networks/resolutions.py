"""The sizes and widths that convolutional networks pass through between a picture and a vector."""

from __future__ import annotations

from models.config import ConvolutionalSettings, ResidualSettings
from models.errors import ConfigurationError

COARSEST_PIXELS = 7


def inner_channels(channels: int) -> int:
    """Width inside a residual block's bottleneck."""
    return max(8, channels // 2)


def sizes_of(height: int, width: int) -> list[tuple[int, int]]:
    """Spatial sizes from the finest to the coarsest: halved, rounding up, until at most 7 pixels remain.

    Odd sizes are cropped on the way up, so that every size from 8 to 256 pixels comes back exactly.

    Raises:
        ConfigurationError: for a picture out of that range.
    """
    if not (8 <= height <= 256 and 8 <= width <= 256):
        raise ConfigurationError(
            f"A convolutional network takes pictures of 8 to 256 pixels, not {height}x{width}.",
            "Set data.image_size within that range, or choose an mlp.",
        )
    sizes = [(height, width)]
    while max(sizes[-1]) > COARSEST_PIXELS:
        h, w = sizes[-1]
        sizes.append((-(-h // 2), -(-w // 2)))
    return sizes


def channels_at(settings: ConvolutionalSettings | ResidualSettings, level: int) -> int:
    """Channels after ``level`` halvings."""
    return int(min(settings.base_channels * 2**level, settings.max_channels))
