"""The closed union of families."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from models.config.adversarial import GanSettings
from models.config.autoencoding import AutoencoderSettings, VaeSettings

Model = Annotated[GanSettings | VaeSettings | AutoencoderSettings, Field(discriminator="family")]


def is_conditional(model: Model) -> bool:
    """Whether samples are made of a class."""
    return not isinstance(model, AutoencoderSettings) and model.conditional
