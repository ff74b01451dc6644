"""The family's step from its settings, by an explicit match over the closed union."""

from __future__ import annotations

from typing import assert_never

from models.config import AutoencoderSettings, GanSettings, Model, VaeSettings, is_conditional
from models.errors import ConfigurationError
from models.networks.build import SampleShape
from models.steps.autoencoder import AutoencoderStep
from models.steps.gan import GanStep
from models.steps.step import Execution, TrainingStep
from models.steps.vae import VaeStep


def build_step(settings: Model, sample_shape: SampleShape, classes: int, execution: Execution) -> TrainingStep:
    """Networks and optimizers of ``settings.family`` on the execution's device.

    Weights are drawn from torch's global generator: seed it first.

    Args:
        settings: of the family.
        sample_shape: of one sample.
        classes: that the data have; only a conditional model looks at it.
        execution: how updates are computed.

    Raises:
        ConfigurationError: if the settings do not fit the data.
    """
    if is_conditional(settings) and classes < 2:
        raise ConfigurationError(
            f"A conditional model needs at least two classes, the data have {classes}.", "Set model.conditional=false."
        )
    match settings:
        case GanSettings():
            return GanStep(settings, sample_shape, classes, execution)
        case VaeSettings():
            return VaeStep(settings, sample_shape, classes, execution)
        case AutoencoderSettings():
            return AutoencoderStep(settings, sample_shape, execution)
        case _:
            assert_never(settings)
