"""G0: maximum likelihood is the least KL(p_data ‖ p); a mixture has a density for it, a network's samples have not."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from models.config import GanSettings, MlpSettings, RelativisticSettings, TrainingSettings
from models.metrics.modes import kl_of_histograms
from pipelines.labs.densities import LineMixture, entropy, gaussian, kl, line
from pipelines.labs.figures import BLUE, GREY, ORANGE, figure, label, to_png
from pipelines.labs.result import Finding, about, at_most, shown
from pipelines.labs.training import draws_of, new_step, train

CLAIM = (
    "Maximizing the likelihood of data is minimizing KL(p_data ‖ p); a Gaussian mixture can be fitted so, "
    "and a network without a density reaches the same data as a GAN."
)
DATA = LineMixture((0.35, 0.65), (-1.5, 1.0), (0.3, 0.6))
START = LineMixture((0.5, 0.5), (-0.3, 0.3), (2.0, 2.0))
BINS = 60


@dataclass(frozen=True)
class Size:
    """How much is computed."""

    rows: int = 100_000
    iterations: int = 60
    images_seen: int = 512_000
    hidden_width: int = 64


def expectation_maximization(mixture: LineMixture, samples: Tensor) -> LineMixture:
    """One iteration, which never lowers the likelihood (Dempster et al. 1977, theorem 1). Samples [N, 1]."""
    x = samples[:, 0].double()
    share = torch.softmax(mixture.log_joint(x), dim=1)
    mass = share.sum(dim=0)
    means = (share * x[:, None]).sum(dim=0) / mass
    variances = (share * (x[:, None] - means).square()).sum(dim=0) / mass
    return LineMixture(
        tuple((mass / mass.sum()).tolist()), tuple(means.tolist()), tuple(variances.clamp_min(1e-12).sqrt().tolist())
    )


def run(seed: int, size: Size = Size()) -> Finding:
    """Fit a mixture by maximum likelihood, then a small GAN to the same samples."""
    samples = DATA.sample(size.rows, torch.Generator().manual_seed(seed))
    fits = [START]
    for _ in range(size.iterations):
        fits.append(expectation_maximization(fits[-1], samples))
    likelihoods = [float(fit.log_density(samples[:, 0]).mean()) for fit in fits]
    divergences = [kl(DATA, fit) for fit in fits]
    # E log p = -H(p_data) - KL(p_data ‖ p): what one gains the other loses.
    gained, lost = likelihoods[-1] - likelihoods[0], divergences[0] - divergences[-1]
    one = gaussian(float(samples.double().mean()), float(samples.double().std()))
    generated = _gan(samples, seed, size)
    edges = torch.linspace(-4.0, 4.0, BINS + 1, dtype=torch.float64)
    from_gan = _binned_kl(generated, edges)
    largest_fall = max(before - after for before, after in pairwise(likelihoods))
    quantities = (
        about("likelihood gained by the fit, against KL lost (nats)", gained, lost, 0.01),
        about(
            "log-likelihood at the end, against -H(p_data) - KL",
            likelihoods[-1],
            -entropy(DATA) - divergences[-1],
            0.01,
        ),
        at_most("largest fall of the likelihood in an iteration", largest_fall, 0.0, 1e-9),
        shown("KL(p_data ‖ start)", divergences[0]),
        at_most("KL(p_data ‖ mixture fitted by maximum likelihood)", divergences[-1], 0.001),
        shown("KL(p_data ‖ one Gaussian fitted by maximum likelihood)", kl(DATA, one)),
        at_most("KL(p_data ‖ samples of a GAN), over bins", from_gan, 0.1),
    )
    return Finding(
        claim=CLAIM,
        if_confirmed="every nat of likelihood is a nat of KL(p_data ‖ p); the GAN comes close without any density: "
        f"{from_gan:.2g} nats over bins, the mixture {divergences[-1]:.2g}.",
        if_refuted="likelihood and KL do not exchange one for one, or a fit does not reach the data.",
        quantities=quantities,
        picture=_picture(likelihoods, divergences, fits[-1], generated),
    )


def _gan(samples: Tensor, seed: int, size: Size) -> Tensor:
    """Samples [N, 1] of a small GAN that was shown the same data."""
    network = MlpSettings(hidden_width=size.hidden_width, hidden_layers=2)
    settings = GanSettings(
        latent_size=4,
        generator=network,
        discriminator=network,
        objective=RelativisticSettings(),
        r1_weight=0.1,
        r2_weight=0.1,
        ema_half_life_images=20_000,
    )
    step = new_step(settings, (1,), seed)
    train(
        step,
        samples,
        TrainingSettings(
            images_seen=size.images_seen, batch_size=256, decay_start_share=0.3, final_learning_rate_share=0.01
        ),
        seed,
    )
    return step.sample(draws_of(seed).normal("latent", 100_000, step.latent_size))


def _binned_kl(generated: Tensor, edges: Tensor) -> float:
    """KL(p_data ‖ p_G) of the shares of bins; never above the densities' own. A sample is added to each bin."""
    middle = line(DATA, points=200_001)
    mass = DATA.log_density(middle).exp()
    inside = torch.bucketize(middle, edges[1:-1])
    real = torch.zeros(BINS, dtype=torch.float64).index_add_(0, inside, mass)
    fake = torch.bincount(torch.bucketize(generated[:, 0].double(), edges[1:-1]), minlength=BINS).double() + 1.0
    return kl_of_histograms((real / real.sum()).numpy(), (fake / fake.sum()).numpy())


def _picture(likelihoods: list[float], divergences: list[float], fit: LineMixture, generated: Tensor) -> bytes:
    page, (curves, densities) = figure(2)
    ceiling = -entropy(DATA)
    curves.plot([ceiling - value for value in likelihoods], color=BLUE, label="-H(p_data) - mean log-likelihood")
    curves.plot(divergences, "--", color=ORANGE, label="KL(p_data ‖ p)")
    label(curves, "Two ways to say the same", "iteration of the fit", "nats")
    x = torch.linspace(-3.5, 3.5, 400, dtype=torch.float64)
    densities.hist(
        generated[:, 0].numpy(),
        bins=120,
        range=(-3.5, 3.5),
        density=True,
        color=ORANGE,
        alpha=0.45,
        label="GAN, samples",
    )
    densities.plot(x, DATA.log_density(x).exp(), color=GREY, linewidth=4, alpha=0.6, label="p_data")
    densities.plot(x, fit.log_density(x).exp(), color=BLUE, label="mixture, maximum likelihood")
    label(densities, "Mixture and GAN", "x", "density")
    return to_png(page)
