"""What a run will cost, said before it starts: an estimate from the networks' sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from components.cores import available_cores
from components.recipe import Recipe
from models.config import AutoencoderSettings, ConvolutionalSettings, GanSettings, MlpSettings, Network, VaeSettings

COARSEST_PIXELS = 7
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
            per_image = (g.work + d.work * (6 + 5 * penalized)) + (3 * g.work + 4 * d.work) / gan.discriminator_steps
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


def _pyramid(settings: ConvolutionalSettings, side: int) -> tuple[list[int], list[int]]:
    """Sides and channels from the finest size to the coarsest."""
    sides = [side]
    while sides[-1] > COARSEST_PIXELS:
        sides.append(-(-sides[-1] // 2))
    return sides, [min(settings.base_channels << level, settings.max_channels) for level in range(len(sides))]


def _mlp(settings: MlpSettings, outer_width: int) -> _Size:
    weights = settings.hidden_width * (outer_width + settings.hidden_width * (settings.hidden_layers - 1))
    return _Size(weights, weights)
