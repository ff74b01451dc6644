"""V2: an autoencoder cannot generate: not every code is valid; a VAE's prior can be sampled."""

from __future__ import annotations

import torch
from torch import Tensor

from models.steps.autoencoder import AutoencoderNetwork
from models.steps.vae import VaeNetwork
from pipelines.labs import digits
from pipelines.labs.digits import FULL, Size, code_of, decoded
from pipelines.labs.figures import BLUE, GREY, ORANGE, figure, label, tiles, to_png
from pipelines.labs.result import Finding, at_least, at_most, shown
from pipelines.labs.training import draws_of

CLAIM = "An autoencoder's code space has holes, so it cannot generate; a VAE's prior can be sampled."


def own_gaussian(codes: Tensor, noise: Tensor) -> Tensor:
    """Draws of the Gaussian that has the codes' mean and covariance, [N, Z]."""
    covariance = torch.cov(codes.double().T)
    values, vectors = torch.linalg.eigh(covariance)
    factor = vectors * values.clamp_min(0.0).sqrt()
    drawn: Tensor = codes.double().mean(dim=0) + noise.double() @ factor.T
    return drawn.float()


def nearest_real(pictures: Tensor, real: Tensor) -> float:
    """Mean distance of the first thousand pictures from their nearest real one, in pixels."""
    return float(torch.cdist(pictures[:1000].flatten(1), real.flatten(1)).amin(dim=1).mean())


def run(seed: int, size: Size = FULL) -> Finding:
    """Decode codes of data, codes of their own Gaussian, and codes of the prior; score them in one feature space."""
    data = digits.digits(size.held_out)
    features = digits.PrincipalComponents(data.train)
    networks: dict[str, VaeNetwork | AutoencoderNetwork] = {
        "AE": digits.trained_autoencoder(data, size, seed).network_ema,
        "VAE": digits.trained_vae(data, size, seed).network_ema,
    }
    noise = draws_of(seed).normal("latent", len(data.train), digits.LATENT)
    pictures: dict[str, Tensor] = {}
    for name, network in networks.items():
        pictures[f"{name}, codes of held-out digits"] = decoded(network, code_of(network, data.held_out))
        pictures[f"{name}, its codes' own Gaussian"] = decoded(
            network, own_gaussian(code_of(network, data.train), noise)
        )
        pictures[f"{name}, N(0, I)"] = decoded(network, noise)
    distances = {name: features.distance(shown_, data.train) for name, shown_ in pictures.items()}
    floor = features.distance(data.held_out, data.train)
    vae = distances["VAE, N(0, I)"]
    prior, own = distances["AE, N(0, I)"] / vae, distances["AE, its codes' own Gaussian"] / vae
    prior_of_vae = vae / distances["VAE, codes of held-out digits"]
    real = nearest_real(data.held_out, data.train)
    quantities = (
        shown("Fréchet distance: held-out digits, as they are", floor),
        *(shown(f"Fréchet distance: {name}", value) for name, value in distances.items()),
        *(
            shown(f"nearest training digit, over that of held-out ones: {name}", nearest_real(of, data.train) / real)
            for name, of in pictures.items()
        ),
        at_least("AE from N(0, I), against the VAE's from there", prior, 2.0),
        at_least("AE from its own codes' Gaussian, against the VAE from N(0, I)", own, 1.0),
        at_most("VAE from N(0, I), against its reconstructions", prior_of_vae, 3.0),
    )
    distance = (
        f"from N(0, I) the AE draws {prior:.2g} times as far from the digits as the VAE does, from a Gaussian fitted "
        f"to its own codes {own:.2g} times; the VAE's draws lie {prior_of_vae:.2g} times as far as its reconstructions."
    )
    return Finding(
        claim=CLAIM,
        if_confirmed=distance,
        if_refuted=distance,
        quantities=quantities,
        picture=_picture(pictures, distances, floor, data.held_out),
    )


def _picture(pictures: dict[str, Tensor], distances: dict[str, float], floor: float, held_out: Tensor) -> bytes:
    page, panels = figure(4, 2, width=2.6, height=2.3)
    tiles(panels[0], "held-out digits", held_out[:24, 0].numpy(), 6)
    for panel, (name, shown_) in zip((*panels[1:4], *panels[5:8]), pictures.items(), strict=True):
        tiles(panel, name.replace(" held-out digits", " digits"), shown_[:24, 0].numpy(), 6)
    bars = panels[4]
    short = ["real", "AE codes", "AE own", "AE N(0,I)", "VAE codes", "VAE own", "VAE N(0,I)"]
    bars.barh(short[::-1], [floor, *distances.values()][::-1], color=[BLUE] * 3 + [ORANGE] * 3 + [GREY])
    label(bars, "Fréchet distance", "32 components of pixels", "", legend=False)
    return to_png(page)
