"""The built-in digits in memory, and the small autoencoders that the demonstrations train on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from components.prepare.decoding.resize import resize_square
from components.prepare.sources.digits import DigitsSource
from components.prepare.sources.source import Item, Rows
from models.config import AutoencoderSettings, MlpSettings, TrainingSettings, VaeSettings
from models.metrics.frechet import frechet_between
from models.networks.build import Decoder
from models.steps.autoencoder import AutoencoderNetwork, AutoencoderStep
from models.steps.step import TrainingStep
from models.steps.vae import VaeNetwork, VaeStep
from pipelines.labs.training import new_step, train

PIXELS = 16
LATENT = 16
COMPONENTS = 32
"""Principal components of the pixels that Fréchet distances are taken in."""


@dataclass(frozen=True)
class Size:
    """How much is computed."""

    images_seen: int = 80_000
    batch_size: int = 100
    hidden_width: int = 160
    held_out: int = 1000


FULL = Size()


@dataclass(frozen=True)
class Digits:
    """Pictures in [0, 1], [N, 1, 16, 16]: 5,000 less the held-out ones, shuffled once and for all."""

    train: Tensor
    held_out: Tensor


def digits(held_out: int) -> Digits:
    """The built-in digits at 16 pixels."""
    source = DigitsSource()
    native = [cast(Rows, rows).samples for rows in source.read([cast(Item, item) for item in source.listing()])]
    resized = np.stack([resize_square(picture, PIXELS) for picture in np.concatenate(native)])
    pictures = torch.from_numpy(resized).float() / 255.0
    order = torch.from_numpy(np.argsort(np.random.PCG64(0).random_raw(len(pictures)), kind="stable"))
    pictures = pictures[order]
    return Digits(pictures[held_out:], pictures[:held_out])


def vae_settings(size: Size, *, beta: float = 1.0) -> VaeSettings:
    """A VAE of perceptrons with a Bernoulli likelihood."""
    network = MlpSettings(hidden_width=size.hidden_width, hidden_layers=2)
    return VaeSettings(latent_size=LATENT, encoder=network, decoder=network, beta=beta)


def autoencoder_settings(size: Size) -> AutoencoderSettings:
    """An autoencoder of the same perceptrons."""
    network = MlpSettings(hidden_width=size.hidden_width, hidden_layers=2)
    return AutoencoderSettings(latent_size=LATENT, encoder=network, decoder=network)


def train_on(step: TrainingStep, data: Digits, size: Size, seed: int) -> None:
    """Updates until the budget is spent."""
    train(step, data.train, TrainingSettings(images_seen=size.images_seen, batch_size=size.batch_size), seed)


def trained_vae(data: Digits, size: Size, seed: int, *, beta: float = 1.0) -> VaeStep:
    """A VAE on the digits."""
    step = cast(VaeStep, new_step(vae_settings(size, beta=beta), (1, PIXELS, PIXELS), seed))
    train_on(step, data, size, seed)
    return step


def trained_autoencoder(data: Digits, size: Size, seed: int) -> AutoencoderStep:
    """An autoencoder on the digits."""
    step = cast(AutoencoderStep, new_step(autoencoder_settings(size), (1, PIXELS, PIXELS), seed))
    train_on(step, data, size, seed)
    return step


@torch.no_grad()
def code_of(network: VaeNetwork | AutoencoderNetwork, pictures: Tensor) -> Tensor:
    """Codes without noise: an autoencoder's, or the posteriors' means. [N, Z]."""
    if isinstance(network, VaeNetwork):
        mean: Tensor = network.encoder(pictures)[0]
        return mean
    code: Tensor = network.encoder(pictures)
    return code


@torch.no_grad()
def decoded(network: VaeNetwork | AutoencoderNetwork, code: Tensor) -> Tensor:
    """Pictures in [0, 1] of codes, [N, 1, 16, 16]."""
    decoder: Decoder = network.decoder
    return network.to_sample(decoder(code))


def mean_squared_error(first: Tensor, second: Tensor) -> float:
    """Over all pixels."""
    return float((first - second).square().mean())


class PrincipalComponents:
    """The feature space of these demonstrations: the first 32 principal components of real digits' pixels."""

    def __init__(self, pictures: Tensor) -> None:
        flat = pictures.flatten(1).double()
        self.mean = flat.mean(dim=0)
        _, vectors = torch.linalg.eigh(torch.cov((flat - self.mean).T))
        self.vectors = vectors[:, -COMPONENTS:]

    def __call__(self, pictures: Tensor) -> Tensor:
        """[N, 1, 16, 16] → [N, 32], float64."""
        features: Tensor = (pictures.flatten(1).double() - self.mean) @ self.vectors
        return features

    def distance(self, first: Tensor, second: Tensor) -> float:
        """The Fréchet distance of two sets of pictures."""
        return frechet_between(self(first).numpy(), self(second).numpy())
