"""The closed union of families."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from models.config.adversarial import GanSettings
from models.config.autoencoding import AutoencoderSettings, VaeSettings

Model = Annotated[GanSettings | VaeSettings | AutoencoderSettings, Field(discriminator="family")]
