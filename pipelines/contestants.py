"""Who is compared: one recipe a family, on the same data, with the same budget and code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.recipe import Recipe, override
from models.config import AutoencoderSettings, VaeSettings
from models.errors import ConfigurationError
from pipelines.recipes import recipe_by_name

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
        }
    )
    without = override(vae, {"name": f"{kind}-vae-without-kl", "model.beta": 0.0})
    plain = override(vae, {"model.beta": 1.0})
    budget = {"training.images_seen": gan.training.images_seen, "data.source": source}
    return [override(recipe, budget | dict(changes)) for recipe in (gan, plain, ae, without)]
