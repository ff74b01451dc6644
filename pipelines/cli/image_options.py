"""The image of every step, and why it is named by its digest."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from models.errors import ConfigurationError

ImageOption = Annotated[str, typer.Option(help="Image of every step, by digest: NAME@sha256:...")]
MutableOption = Annotated[
    bool, typer.Option("--allow-mutable-image", help="Accept a tag, whose content may change under a cached step.")
]
DIGEST = re.compile(r"^[^@\s]+@sha256:[0-9a-f]{64}$")


def require_immutable(image: str, allow_mutable: bool) -> None:
    """Refuse an image whose content can change under the same name.

    Raises:
        ConfigurationError: naming the remedy.
    """
    if not allow_mutable and not DIGEST.match(image):
        raise ConfigurationError(
            f"--image {image} is a mutable name: the same text may stand for other content tomorrow.",
            "Give NAME@sha256:DIGEST, or --allow-mutable-image for a test cluster.",
        )
