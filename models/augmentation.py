"""Adaptive discriminator augmentation (Karras et al. 2020, "Training GANs with limited data").

Every transformation is a bijection of distributions below probability 1, so that what D learns to ignore does not
appear in the samples. Both sides are augmented alike; G's gradient passes through.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample

from models.config import AugmentationSettings

DRAWS_PER_SAMPLE = 12
"""Uniform numbers that one sample's augmentation takes."""
MAXIMAL_SHIFT = 0.125
MAXIMAL_ANGLE = math.pi / 12.0
MAXIMAL_SCALE = 0.2
MAXIMAL_BRIGHTNESS = 0.4
MAXIMAL_CONTRAST = 0.5


def augment(samples: Tensor, probability: Tensor, uniform: Tensor, settings: AugmentationSettings) -> Tensor:
    """Mirror, shift, rotate, scale, brighten and change the contrast of each picture, each with one probability.

    Args:
        samples: [N, C, H, W] in [-1, 1].
        probability: of each transformation, a scalar in [0, 1].
        uniform: independent uniforms in [0, 1), [N, DRAWS_PER_SAMPLE].
        settings: which transformations.

    Returns:
        [N, C, H, W]; a picture that no transformation hits comes back exactly.
    """
    hit = uniform[:, :6] < probability
    amount = 2.0 * uniform[:, 6:] - 1.0
    mirror = hit[:, 0] & settings.mirror
    moved = hit[:, 1] | hit[:, 2] | hit[:, 3] | mirror
    shift = torch.where(hit[:, 1:2], amount[:, 0:2], 0.0) * (2.0 * MAXIMAL_SHIFT)
    angle = torch.where(hit[:, 2], amount[:, 2], 0.0) * MAXIMAL_ANGLE
    scale = torch.exp2(torch.where(hit[:, 3], amount[:, 3], 0.0) * MAXIMAL_SCALE)
    sign = torch.where(mirror, -1.0, 1.0)
    height, width = samples.shape[2:]
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    matrix = torch.stack(
        [
            torch.stack([cosine * sign, -sine * (height / width), shift[:, 0]], dim=1),
            torch.stack([sine * sign * (width / height), cosine, shift[:, 1]], dim=1),
        ],
        dim=1,
    )
    where = affine_grid(matrix.to(samples.dtype), list(samples.shape), align_corners=False)
    placed = grid_sample(samples, where, mode="bilinear", padding_mode="reflection", align_corners=False)
    samples = torch.where(moved[:, None, None, None], placed, samples)
    if settings.colour:
        contrast = torch.exp2(torch.where(hit[:, 4], amount[:, 4], 0.0) * MAXIMAL_CONTRAST)
        brightness = torch.where(hit[:, 5], amount[:, 5], 0.0) * MAXIMAL_BRIGHTNESS
        coloured = samples * contrast[:, None, None, None] + brightness[:, None, None, None]
        samples = torch.where((hit[:, 4] | hit[:, 5])[:, None, None, None], coloured, samples)
    return samples


class Strength(nn.Module):
    """A number in [0, 1] on the device that follows how well D separates the two sides; kept by checkpoints.

    It moves by at most ``images / images_to_full`` an update: up while the separation is above the target, down
    below it (Karras et al. 2020, section 3.2, with the separation of pairs in the place of E[sign D], since a
    relativistic critic's offset is free).
    """

    value: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("value", torch.zeros(()))

    @torch.no_grad()
    def follow(self, separation: Tensor, *, target: float, images: int, images_to_full: float) -> None:
        """Move towards the target.

        Args:
            separation: E[sign(D(x) - D(G(z)))] of this batch, in [-1, 1].
            target: where it should be.
            images: of this update.
            images_to_full: images in which the value could go from 0 to 1.
        """
        step = torch.sign(separation - target) * (images / images_to_full)
        self.value.add_(step).clamp_(0.0, 1.0)


def separation_of(real: Tensor, fake: Tensor) -> Tensor:
    """E[sign(D(x) - D(G(z)))] over pairs, [N] and [N]: 0 when D sees no difference, 1 when it tells every pair."""
    return torch.sign(real - fake).mean()
