"""What a run will cost, said before it starts: an estimate from the networks' sizes."""

from __future__ import annotations

import os
from dataclasses import dataclass

from components.recipe import Recipe
from models.config import AutoencoderSettings, ConvolutionalSettings, GanSettings, MlpSettings, Network, VaeSettings

# Seen on two cores of a 2.x GHz AVX2 machine; an estimate needs no more than its order of magnitude.
MULTIPLY_ADDS_PER_CORE_SECOND = 9e9
SECONDS_PER_UPDATE = 0.012
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
            g = _network(gan.generator, shape, gan.latent_size)
            d = _network(gan.discriminator, shape, 1)
            # A backward pass costs twice its forward; the penalties differentiate D's input gradient once more.
            penalized = (gan.r1_weight > 0) + (gan.r2_weight > 0)
            per_image = (g.work + d.work * (6 + 5 * penalized)) + (3 * g.work + 4 * d.work) / gan.discriminator_steps
            weights = 2 * g.weights + d.weights
            per_update = gan.discriminator_steps
        case VaeSettings() | AutoencoderSettings() as coder:
            e, f = _network(coder.encoder, shape, 2 * coder.latent_size), _network(coder.decoder, shape, coder.latent_size)
            per_image = 3 * (e.work + f.work)
            weights = 2 * (e.weights + f.weights)
            per_update = 1
    images = recipe.training.images_seen
    cores = len(os.sched_getaffinity(0))
    updates = images / (recipe.training.batch_size * per_update)
    seconds = FIXED_SECONDS + updates * SECONDS_PER_UPDATE + images * per_image / (cores * MULTIPLY_ADDS_PER_CORE_SECOND)
    checkpoints = (recipe.training.checkpoints_kept + 1) * 4 * 3 * weights
    data = 2 * recipe.data.rows * 4 * shape[0] if is_vector else 5_000 * shape[0] * pixels * pixels
    return Cost(seconds, checkpoints + data + 8 * weights + 5e6)


@dataclass(frozen=True)
class _Size:
    """Multiply-adds of one sample's forward pass, and weights."""

    work: float
    weights: float


def _network(settings: Network, shape: tuple[int, ...], other_width: int) -> _Size:
    match settings:
        case MlpSettings():
            values = 1
            for size in shape:
                values *= size
            weights = settings.hidden_width * (
                values + other_width + settings.hidden_width * (settings.hidden_layers - 1)
            )
            return _Size(weights, weights)
        case ConvolutionalSettings():
            side, work, weights, level = shape[-1], 0.0, 0.0, 0
            while side > 7:
                side = -(-side // 2)
                layer = 16.0 * min(settings.base_channels * 2**level, settings.max_channels) * min(
                    settings.base_channels * 2 ** (level + 1), settings.max_channels
                )
                work, weights, level = work + layer * side * side, weights + layer, level + 1
            dense = min(settings.base_channels * 2**level, settings.max_channels) * side * side * other_width
            return _Size(work + dense, weights + dense)
