"""The family's step from its settings, by an explicit match over the closed union."""

from __future__ import annotations

from typing import assert_never

import torch

from models.config import AutoencoderSettings, GanSettings, Model, VaeSettings
from models.networks.build import SampleShape
from models.steps.autoencoder import AutoencoderStep
from models.steps.gan import GanStep
from models.steps.step import TrainingStep, Wrap
from models.steps.vae import VaeStep


def build_step(settings: Model, sample_shape: SampleShape, device: torch.device, wrap: Wrap) -> TrainingStep:
    """Networks and optimizers of ``settings.family`` on ``device``.

    Weights are drawn from torch's global generator: seed it first.
    """
    match settings:
        case GanSettings():
            return GanStep(settings, sample_shape, device, wrap)
        case VaeSettings():
            return VaeStep(settings, sample_shape, device, wrap)
        case AutoencoderSettings():
            return AutoencoderStep(settings, sample_shape, device, wrap)
        case _:
            assert_never(settings)
