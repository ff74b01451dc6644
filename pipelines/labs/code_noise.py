"""V11 and V12: noise in the code is what generalizes; the wider a code's posterior, the less it carries."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from models.diagnostics import kl_per_dimension
from models.diagnostics.codes import mutual_information
from pipelines.labs import digits
from pipelines.labs.digits import FULL, Size, code_of, decoded, mean_squared_error
from pipelines.labs.figures import BLUE, GREY, ORANGE, figure, label, to_png
from pipelines.labs.result import Finding, about, at_least, at_most, shown
from pipelines.labs.training import draws_of

CLAIM = (
    "A decoder trained with noise on the code stands it where an autoencoder's does not, "
    "and the larger a code's variance, the less information it carries."
)
NOISES = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
"""Sigma of the noise, in standard deviations of each of the code's dimensions over data."""


def run(seed: int, size: Size = FULL) -> Finding:
    """Perturb codes of held-out digits; then weigh each dimension's bits against its posterior variance."""
    data = digits.digits(size.held_out)
    autoencoder = digits.trained_autoencoder(data, size, seed)
    vae = digits.trained_vae(data, size, seed)
    noise = draws_of(seed).normal("code", size.held_out, digits.LATENT)
    curves: dict[str, list[float]] = {}
    gaps: dict[str, float] = {}
    for name, network in (("AE", autoencoder.network_ema), ("VAE", vae.network_ema)):
        code = code_of(network, data.held_out)
        scale = code_of(network, data.train).std(dim=0)
        curves[name] = [
            mean_squared_error(decoded(network, code + sigma * scale * noise), data.held_out) for sigma in NOISES
        ]
        seen = mean_squared_error(decoded(network, code_of(network, data.train)), data.train)
        gaps[name] = curves[name][0] / seen
    half = NOISES.index(0.5)
    growth = {name: values[half] / values[0] for name, values in curves.items()}
    variance, information, bits = _dimensions(vae.network_ema.encoder(data.held_out), noise)
    # A dimension whose codes as a whole are N(0, 1) carries at most -1/2 log2 of its mean posterior variance.
    closed = -0.5 * torch.log2(variance)
    quantities = (
        *(shown(f"{name}: error of held-out digits, noise 0", values[0]) for name, values in curves.items()),
        *(shown(f"{name}: error of held-out digits, noise 0.5", values[half]) for name, values in curves.items()),
        *(shown(f"{name}: growth of the error by noise 0.5", value) for name, value in growth.items()),
        at_least("growth of the AE's error over growth of the VAE's", growth["AE"] / growth["VAE"], 1.2),
        *(shown(f"{name}: held-out error over training error", value) for name, value in gaps.items()),
        shown("that excess, AE over VAE", (gaps["AE"] - 1.0) / (gaps["VAE"] - 1.0)),
        at_most(
            "rank correlation of posterior variance and bits of a dimension", rank_correlation(variance, bits), -0.95
        ),
        about(
            "bits of the dimensions, mean, against -1/2 log2 variance", float(bits.mean()), float(closed.mean()), 0.1
        ),
        shown("bits by I(x; z) of each dimension, mean (at most log2 N)", float(information.mean())),
        shown("bits of the widest dimension", float(bits[variance.argmax()])),
        shown("bits of the narrowest dimension", float(bits[variance.argmin()])),
    )
    return Finding(
        claim=CLAIM,
        if_confirmed="the VAE's decoder loses less to the same noise, and bits fall as the posterior's variance grows.",
        if_refuted="one of the two halves fails.",
        quantities=quantities,
        picture=_picture(curves, variance, bits),
    )


@torch.no_grad()
def _dimensions(posterior: tuple[Tensor, Tensor], noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each latent dimension: mean posterior variance, I(x; z_j) in bits, KL to the prior in bits. Each [Z]."""
    mean, log_variance = (values.detach() for values in posterior)
    information = [
        mutual_information(mean[:, [j]], log_variance[:, [j]], noise[:, [j]]) / math.log(2.0)
        for j in range(mean.shape[1])
    ]
    bits = kl_per_dimension(mean, log_variance) / math.log(2.0)
    return log_variance.double().exp().mean(dim=0), torch.tensor(information), bits


def rank_correlation(first: Tensor, second: Tensor) -> float:
    """Spearman's: the correlation of ranks, without ties. [N], [N]."""
    ranks = torch.stack([first.argsort().argsort().double(), second.argsort().argsort().double()])
    return float(torch.corrcoef(ranks)[0, 1])


def _picture(curves: dict[str, list[float]], variance: Tensor, bits: Tensor) -> bytes:
    page, (noise, information) = figure(2)
    for (name, values), color in zip(curves.items(), (ORANGE, BLUE), strict=True):
        noise.plot(NOISES, values, "o-", color=color, label=name, markersize=4)
    noise.set_ylim(bottom=0.0)
    label(
        noise,
        "Held-out digits, noise on the code",
        "sigma of the noise, share of the code's",
        "squared error per pixel",
    )
    grid = torch.linspace(float(variance.min()) * 0.8, 1.1, 200)
    information.plot(grid, -0.5 * torch.log2(grid), color=GREY, label="-1/2 log2 variance")
    information.plot(variance, bits, "o", color=BLUE, label="a dimension of the VAE")
    information.set_xscale("log")
    information.set_xticks([0.1, 0.2, 0.5, 1.0], ["0.1", "0.2", "0.5", "1"])
    information.set_xticks([], minor=True)
    label(information, "Bits of each latent dimension", "mean posterior variance", "bits: KL to the prior")
    return to_png(page)
