"""Who is compared: one recipe a family, on the same data, with the same budget and code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.evaluate.settings import MEASURING, GateSettings
from components.recipe import Recipe, override
from models.config import AutoencoderSettings, VaeSettings
from models.errors import ConfigurationError
from pipelines.recipes import recipe_by_name

VAE_LOG_EVERY_IMAGES = 1_000
MODEL_SETTINGS = ("data", "training", "extractor", "gate", "resources", "seed")


def contestants(source: str, changes: Mapping[str, Any]) -> list[Recipe]:
    """GAN, VAE, AE, and the VAE without its KL.

    The autoencoders share their networks and the size of their code; all see as many images.

    Args:
        source: the data's URI; ``digits`` has recipes of its own, everything else those for pictures of one's own.
        changes: fields of data, training, extractor, gate and seed, by dotted path, for all of them.

    Raises:
        ConfigurationError: for a field of one model alone, an unknown one, or data that is no pictures.
    """
    if source.startswith("mixture:"):
        raise ConfigurationError(f"{source} is no pictures.", "Compare families on digits or on a folder of pictures.")
    for path in changes:
        if path.partition(".")[0] not in MODEL_SETTINGS:
            raise ConfigurationError(
                f"{path} is not a field of every model.", f"Change {', '.join(MODEL_SETTINGS)} only."
            )
    kind = "digits" if source == "digits" else "images"
    gan, vae = recipe_by_name(f"{kind}-gan"), recipe_by_name(f"{kind}-vae")
    assert isinstance(vae.model, VaeSettings)
    ae = vae.model_copy(
        update={
            "name": f"{kind}-ae",
            "description": "autoencoder with the networks of the VAE",
            "model": AutoencoderSettings(
                latent_size=vae.model.latent_size,
                encoder=vae.model.encoder,
                decoder=vae.model.decoder,
                learning_rate=vae.model.learning_rate,
            ),
            "gate": _gate_of_autoencoder(kind, vae.gate),
        }
    )
    without = override(vae, {"name": f"{kind}-vae-without-kl", "model.beta": 0.0})
    # Reports are frequent enough to see which of its two terms comes first.
    plain = override(vae, {"model.beta": 1.0, "training.log_every_images": VAE_LOG_EVERY_IMAGES})
    budget = {"training.images_seen": gan.training.images_seen, "data.source": source}
    return [override(recipe, budget | dict(changes)) for recipe in (gan, plain, ae, without)]


def _gate_of_autoencoder(kind: str, of_vae: GateSettings) -> GateSettings:
    """Limits of an autoencoder, which has no prior to be asked for samples of; as many of them as of the others."""
    if kind == "digits":
        limits = recipe_by_name("digits-ae").gate
    else:
        kept = ("minimum_extractor_accuracy", "reconstruction_mean_squared_error", "active_units")
        limits = GateSettings(**{name: getattr(of_vae, name) for name in kept})
    return limits.model_copy(update={name: getattr(of_vae, name) for name in MEASURING})
