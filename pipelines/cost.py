"""What a run will cost, said before it starts: an estimate from the networks' sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import assert_never

from components.cores import available_cores
from components.recipe import Recipe
from models.config import (
    AutoencoderSettings,
    ConvolutionalSettings,
    GanSettings,
    MlpSettings,
    Network,
    ResidualSettings,
    VaeSettings,
)
from models.networks.resolutions import channels_at, inner_channels, sizes_of

# Seen on two cores of an AVX2 machine; an estimate needs no more than its order of magnitude.
MULTIPLY_ADDS_PER_CORE_SECOND = 17e9
SECONDS_PER_UPDATE = 0.008
FIXED_SECONDS = 45.0


@dataclass(frozen=True)
class Cost:
    """Seconds of wall time on this machine's CPU, and bytes on disk."""

    seconds: float
    disk_bytes: float


def estimate(recipe: Recipe) -> Cost:
    """Within a factor of two on an idle machine without a GPU."""
    pixels = recipe.data.image_size or 28
    is_vector = recipe.data.source.startswith("mixture:")
    shape = (2,) if is_vector else (recipe.data.channels, pixels, pixels)
    match recipe.model:
        case GanSettings() as gan:
            g = _to_sample(gan.generator, shape, gan.latent_size)
            d = _from_sample(gan.discriminator, shape, 1)
            # A backward pass costs twice its forward; the penalties differentiate D's input gradient once more.
            penalized = (gan.r1_weight > 0) + (gan.r2_weight > 0)
            own = 2 if gan.shared_latents else 3
            per_image = (g.work + d.work * (6 + 5 * penalized)) + (own * g.work + 4 * d.work) / gan.discriminator_steps
            weights = 2 * g.weights + d.weights
            per_update = gan.discriminator_steps
        case VaeSettings() | AutoencoderSettings() as coder:
            e = _from_sample(coder.encoder, shape, 2 * coder.latent_size)
            f = _to_sample(coder.decoder, shape, coder.latent_size)
            per_image = 3 * (e.work + f.work)
            weights = 2 * (e.weights + f.weights)
            per_update = 1
    images = recipe.training.images_seen
    cores = available_cores()
    updates = images / (recipe.training.batch_size * per_update)
    seconds = (
        FIXED_SECONDS + updates * SECONDS_PER_UPDATE + images * per_image / (cores * MULTIPLY_ADDS_PER_CORE_SECOND)
    )
    checkpoints = (recipe.training.checkpoints_kept + 1) * 4 * 3 * weights
    data = 2 * recipe.data.rows * 4 * shape[0] if is_vector else 5_000 * shape[0] * pixels * pixels
    return Cost(seconds, checkpoints + data + 8 * weights + 5e6)


@dataclass(frozen=True)
class _Size:
    """Multiply-adds of one sample's forward pass, and weights."""

    work: float
    weights: float


def _to_sample(settings: Network, shape: tuple[int, ...], latent_size: int) -> _Size:
    """A generator or decoder: 4x4 transposed convolutions from the coarsest size up."""
    match settings:
        case MlpSettings():
            return _mlp(settings, math.prod(shape) + latent_size)
        case ConvolutionalSettings():
            sides, channels = _pyramid(settings, shape[-1])
            dense = channels[-1] * sides[-1] ** 2 * latent_size
            layers = [16 * fine * coarse for fine, coarse in pairwise(channels)]
            work = sum(weights * side**2 for weights, side in zip(layers, sides[1:], strict=True))
            return _Size(dense + work, dense + sum(layers))
        case ResidualSettings():
            return _residual(settings, shape, latent_size)
        case _:
            assert_never(settings)


def _from_sample(settings: Network, shape: tuple[int, ...], out_features: int) -> _Size:
    """A discriminator or encoder: 4x4 convolutions down, one 3x3 at the coarsest size."""
    match settings:
        case MlpSettings():
            return _mlp(settings, math.prod(shape) + out_features)
        case ConvolutionalSettings():
            sides, channels = _pyramid(settings, shape[-1])
            dense = channels[-1] * sides[-1] ** 2 * out_features
            mix = 9 * channels[-1] * (channels[-2] if len(channels) > 1 else shape[0])
            layers = [16 * a * b for a, b in pairwise([shape[0], *channels[:-1]])]
            work = sum(weights * side**2 for weights, side in zip(layers, sides[1:], strict=True))
            return _Size(dense + mix * sides[-1] ** 2 + work, dense + mix + sum(layers))
        case ResidualSettings():
            return _residual(settings, shape, out_features)
        case _:
            assert_never(settings)


def _pyramid(settings: ConvolutionalSettings | ResidualSettings, side: int) -> tuple[list[int], list[int]]:
    """Sides and channels from the finest size to the coarsest."""
    sides = [height for height, _ in sizes_of(side, side)]
    return sides, [channels_at(settings, level) for level in range(len(sides))]


def _residual(settings: ResidualSettings, shape: tuple[int, ...], outer: int) -> _Size:
    """Blocks of 1x1, 3x3 and 1x1 convolutions at every resolution; ``outer`` features at the dense end."""
    sides, channels = _pyramid(settings, shape[-1])
    block = [2 * inner_channels(width) * width + 9 * inner_channels(width) ** 2 for width in channels]
    projections = [fine * coarse for fine, coarse in pairwise(channels)]
    dense, ends = channels[-1] * sides[-1] ** 2 * outer, 9 * channels[0] * shape[0]
    work = sum(settings.blocks * weights * side**2 for weights, side in zip(block, sides, strict=True))
    work += sum(weights * side**2 for weights, side in zip(projections, sides[1:], strict=True))
    return _Size(dense + ends * sides[0] ** 2 + work, dense + ends + settings.blocks * sum(block) + sum(projections))


def _mlp(settings: MlpSettings, outer_width: int) -> _Size:
    weights = settings.hidden_width * (outer_width + settings.hidden_width * (settings.hidden_layers - 1))
    return _Size(weights, weights)
