"""Complete named configurations. A function each; "go to definition" shows everything that is set."""

from __future__ import annotations

from collections.abc import Callable

from components.evaluate.settings import GateSettings
from components.extractor.settings import ExtractorSettings
from components.prepare.settings import DataSettings
from components.recipe import Recipe, nearest_names
from models.config import (
    AutoencoderSettings,
    ConvolutionalSettings,
    GanSettings,
    MlpSettings,
    RelativisticSettings,
    TrainingSettings,
    VaeSettings,
)
from models.errors import ConfigurationError


def digits_gan() -> Recipe:
    """Relativistic GAN with R1 and R2 on 5,000 handwritten digits, about two minutes on two cores."""
    return Recipe(
        name="digits-gan",
        description="GAN on 5,000 handwritten digits",
        data=DataSettings(source="digits"),
        model=GanSettings(
            latent_size=32,
            normalize_latent=True,
            generator=ConvolutionalSettings(base_channels=16),
            discriminator=ConvolutionalSettings(base_channels=16),
            objective=RelativisticSettings(),
            r1_weight=1.0,
            r2_weight=1.0,
            generator_learning_rate=2e-3,
            discriminator_learning_rate=2e-3,
            ema_half_life_images=5_000,
        ),
        training=TrainingSettings(
            images_seen=80_000, batch_size=32, checkpoint_every_images=16_000, sample_every_images=8_000
        ),
        gate=GateSettings(
            minimum_extractor_accuracy=0.93,
            frechet_floor_multiple=4.0,
            smallest_mode_share=0.03,
            relative_mode_share=0.3,
            mode_kl_samples_to_data_nats=0.04,
            memorized_share=0.003,
            duplicate_share=0.1,
        ),
    )


def digits_gan_smoke() -> Recipe:
    """The same graph in a minute, for tests of clusters; its limits only ask that training has begun to work."""
    base = digits_gan()
    return base.model_copy(
        update={
            "name": "digits-gan-smoke",
            "description": "the digits' GAN in a minute, for tests of clusters",
            "training": base.training.model_copy(
                update={
                    "images_seen": 12_000,
                    "checkpoint_every_images": 6_000,
                    "sample_every_images": 6_000,
                }
            ),
            "extractor": ExtractorSettings(epochs=3),
            "gate": GateSettings(
                samples=2_000, minimum_extractor_accuracy=0.8, frechet_floor_multiple=60.0, smallest_mode_share=0.002
            ),
        }
    )


def digits_vae() -> Recipe:
    """Variational autoencoder with a Bernoulli likelihood on 5,000 handwritten digits."""
    return Recipe(
        name="digits-vae",
        description="VAE on 5,000 handwritten digits",
        data=DataSettings(source="digits"),
        model=VaeSettings(
            latent_size=16,
            encoder=ConvolutionalSettings(base_channels=16),
            decoder=ConvolutionalSettings(base_channels=16),
            likelihood="bernoulli",
            learning_rate=2e-3,
        ),
        training=TrainingSettings(images_seen=120_000, batch_size=64),
        gate=GateSettings(
            minimum_extractor_accuracy=0.93,
            frechet_floor_multiple=60.0,  # blur costs a VAE much in these features; a class dropped costs more
            smallest_mode_share=0.02,
            reconstruction_mean_squared_error=0.02,
            active_units=8,
        ),
    )


def digits_ae() -> Recipe:
    """Plain autoencoder on 5,000 handwritten digits. It is not asked for samples of a prior: it has none."""
    return Recipe(
        name="digits-ae",
        description="autoencoder on 5,000 handwritten digits",
        data=DataSettings(source="digits"),
        model=AutoencoderSettings(
            latent_size=16,
            encoder=ConvolutionalSettings(base_channels=16),
            decoder=ConvolutionalSettings(base_channels=16),
            learning_rate=2e-3,
        ),
        training=TrainingSettings(images_seen=120_000, batch_size=64),
        gate=GateSettings(
            samples=2_000, minimum_extractor_accuracy=0.93, reconstruction_mean_squared_error=0.015, active_units=8
        ),
    )


def _mixture_gan(
    name: str, source: str, description: str, images_seen: int, penalty: float, gate: GateSettings
) -> Recipe:
    # Deep rather than wide: the steeper the generator, the less it leaves on the bridges between modes.
    network = MlpSettings(hidden_width=128, hidden_layers=6)
    return Recipe(
        name=name,
        description=description,
        data=DataSettings(source=source, rows=100_000),
        model=GanSettings(
            latent_size=2,
            generator=network,
            discriminator=network,
            objective=RelativisticSettings(),
            r1_weight=penalty,
            r2_weight=penalty,
            generator_learning_rate=1e-3,
            discriminator_learning_rate=1e-3,
            ema_half_life_images=50_000,
        ),
        training=TrainingSettings(
            images_seen=images_seen,
            batch_size=256,
            decay_start_share=0.3,
            final_learning_rate_share=0.01,
            log_every_images=128_000,
            sample_every_images=512_000,
            checkpoint_every_images=512_000,
        ),
        gate=gate,
    )


def ring_gan() -> Recipe:
    """Eight Gaussians on a circle (Lin et al. 2018, section 4.1)."""
    return _mixture_gan(
        "ring-gan",
        "mixture:ring8",
        "GAN on 8 Gaussians on a circle",
        3_840_000,
        0.03,
        GateSettings(smallest_mode_share=0.08, mode_kl_samples_to_data_nats=0.01, high_quality_share=0.85),
    )


def grid_gan() -> Recipe:
    """Twenty-five Gaussians on a lattice (Lin et al. 2018, section 4.1)."""
    return _mixture_gan(
        "grid-gan",
        "mixture:grid25",
        "GAN on 25 Gaussians on a lattice",
        7_680_000,
        0.05,
        GateSettings(smallest_mode_share=0.015, mode_kl_samples_to_data_nats=0.05, high_quality_share=0.8),
    )


def stacked_mnist_gan() -> Recipe:
    """A thousand modes: three digits in three channels (Metz et al. 2017, section 3.3.1).

    By default of the built-in digits; ``data.source=stacked-mnist?root=DIR`` stacks the whole MNIST. The budget is a
    GPU's: on a CPU set a smaller one.
    """
    return Recipe(
        name="stacked-mnist-gan",
        description="GAN on three stacked digits, a thousand modes (for a GPU)",
        data=DataSettings(source="stacked-mnist", channels=3, rows=200_000),
        model=GanSettings(
            latent_size=128,
            normalize_latent=True,
            generator=ConvolutionalSettings(base_channels=64),
            discriminator=ConvolutionalSettings(base_channels=64),
            generator_learning_rate=1e-3,
            discriminator_learning_rate=1e-3,
            ema_half_life_images=100_000,
        ),
        training=TrainingSettings(
            images_seen=10_000_000,
            batch_size=128,
            log_every_images=100_000,
            sample_every_images=500_000,
            checkpoint_every_images=500_000,
        ),
        # A class of this size has 200 rows: its share of 10,000 samples says whether it is there, and little more.
        extractor=ExtractorSettings(feature_width=64, base_channels=32),
        gate=GateSettings(frechet_floor_multiple=20.0, mode_kl_samples_to_data_nats=0.3),
    )


def images_gan() -> Recipe:
    """Relativistic GAN on a folder of your own pictures: set data.source=folder:/path."""
    return Recipe(
        name="images-gan",
        description="GAN on a folder of your own pictures",
        data=DataSettings(source="folder:pictures", image_size=32, channels=3),
        model=GanSettings(
            latent_size=128,
            normalize_latent=True,
            generator=ConvolutionalSettings(base_channels=32),
            discriminator=ConvolutionalSettings(base_channels=32),
            generator_learning_rate=1e-3,
            discriminator_learning_rate=1e-3,
            ema_half_life_images=20_000,
        ),
        training=TrainingSettings(images_seen=500_000, batch_size=32),
        # Classes of one's own are seldom equal: what the weakest mode has is held against its share of the data.
        gate=GateSettings(
            frechet_floor_multiple=20.0, relative_mode_share=0.1, memorized_share=0.003, duplicate_share=0.1
        ),
    )


def images_vae() -> Recipe:
    """Variational autoencoder on a folder of your own pictures: set data.source=folder:/path."""
    return Recipe(
        name="images-vae",
        description="VAE on a folder of your own pictures",
        data=DataSettings(source="folder:pictures", image_size=32, channels=3),
        model=VaeSettings(
            latent_size=32,
            encoder=ConvolutionalSettings(base_channels=32),
            decoder=ConvolutionalSettings(base_channels=32),
            likelihood="gaussian",
            # With a calibrated sigma small pictures buy much information: at beta 1 a thousand of them left a prior
            # full of holes.
            beta=8.0,
        ),
        training=TrainingSettings(images_seen=500_000, batch_size=64),
        gate=GateSettings(
            frechet_floor_multiple=40.0,
            smallest_mode_share=0.005,
            mode_kl_samples_to_data_nats=0.3,
            reconstruction_mean_squared_error=0.03,
            active_units=4,
        ),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "digits-gan": digits_gan,
    "digits-vae": digits_vae,
    "digits-ae": digits_ae,
    "ring-gan": ring_gan,
    "grid-gan": grid_gan,
    "stacked-mnist-gan": stacked_mnist_gan,
    "images-gan": images_gan,
    "images-vae": images_vae,
    "digits-gan-smoke": digits_gan_smoke,
}


def recipe_by_name(name: str) -> Recipe:
    """The recipe of a name.

    Raises:
        ConfigurationError: for an unknown name, with the nearest ones.
    """
    if name not in RECIPES:
        raise ConfigurationError(f"There is no recipe {name!r}.", nearest_names(name, RECIPES))
    return RECIPES[name]()
