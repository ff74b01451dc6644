"""The feature space that the settings name: never guessed, and known by the hash of what it was read from."""

from __future__ import annotations

from typing import assert_never

from torch import nn

from components.extractor.settings import ExtractorSettings
from components.extractor.weights import read_weights
from models.errors import ConfigurationError


def feature_space(settings: ExtractorSettings, channels: int, seed: int) -> tuple[nn.Module | None, str]:
    """A network from pictures in [0, 255], [N, C, H, W], to features [N, d], and the hash of its weights.

    None stands for the features of the data's own classifier.

    Args:
        settings: which.
        channels: of the pictures.
        seed: of what is random.

    Raises:
        ConfigurationError: if weights are missing, or are another network's.
    """
    match settings.kind:
        case "classifier":
            return None, ""
        case "pixels":
            from models.networks.features.fixed import Pixels

            return Pixels(), ""
        case "random-convolutions":
            from models.networks.features.fixed import RandomConvolutions

            return RandomConvolutions(channels, settings.feature_width, seed), ""
        case "inception" | "torchvision":
            return _pretrained(settings)
        case _:
            assert_never(settings.kind)


def _pretrained(settings: ExtractorSettings) -> tuple[nn.Module, str]:
    weights, digest = read_weights(settings.weights, settings.weights_sha256)
    try:
        if settings.kind == "inception":
            from models.networks.features.inception import InceptionFeatures

            network = InceptionFeatures()
            network.load(weights)
            return network, digest
        from models.networks.features.backbone import Backbone

        return Backbone(settings.architecture, weights), digest
    except (RuntimeError, ValueError) as error:
        first = str(error).splitlines()[0].rstrip(":. ")
        who = "Inception-v3" if settings.kind == "inception" else settings.architecture
        raise ConfigurationError(
            f"{settings.weights} does not fit {who}: {first}.",
            "Correct extractor.weights or extractor.architecture.",
        ) from error
