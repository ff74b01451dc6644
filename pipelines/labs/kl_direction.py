"""G11: does the direction of the KL explain mode collapse? A Gaussian on two modes, and GANs on eight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.config import (
    ForwardKlSettings,
    GanSettings,
    MinimaxSettings,
    MlpSettings,
    Objective,
    ReverseKlSettings,
    TrainingSettings,
)
from models.metrics.modes import high_quality_share, kl_of_histograms, nearest_center, recovered_modes
from models.mixtures import ring
from models.objectives import adversarial
from pipelines.labs.densities import LineMixture, gaussian, jsd, kl, line
from pipelines.labs.figures import BLUE, GREEN, GREY, ORANGE, figure, label, to_png
from pipelines.labs.result import Finding, Quantity, about, at_least, at_most, shown
from pipelines.labs.training import draws_of, new_step, train

CLAIM = (
    "Mode collapse comes from the direction of the KL: KL(p_data ‖ p_G) forbids missing a mode, "
    "KL(p_G ‖ p_data) forbids inventing one."
)
TWO_MODES = LineMixture((0.5, 0.5), (-2.0, 2.0), (0.5, 0.5))
RING = ring(sigma=0.05)
STARTS = ((0.3, 1.5), (1.5, 0.5))
"""Mean and sigma of the single Gaussian: wide over both modes, and narrow near the right one."""
LOSSES = {
    "forward-kl": adversarial.generator_forward_kl,
    "reverse-kl": adversarial.generator_mean_score,
    "minimax": adversarial.generator_saturating,
}
GAMES: dict[str, Objective] = {
    "forward-kl": ForwardKlSettings(),
    "reverse-kl": ReverseKlSettings(),
    "minimax": MinimaxSettings(),
}
PACES = {
    "players alike": (2e-3, 2e-3, 0),
    "G ten times as fast": (1e-2, 1e-3, 0),
    "the same, next seed": (1e-2, 1e-3, 1),
}
"""Learning rates of G and D, and what is added to the seed."""
COLORS = {"forward-kl": BLUE, "reverse-kl": ORANGE, "minimax": GREEN}


@dataclass(frozen=True)
class Size:
    """How much is computed."""

    iterations: int = 300
    images_seen: int = 128_000
    batch_size: int = 128
    hidden_width: int = 64
    samples: int = 2500


def divergence(name: str, fit: LineMixture) -> float:
    """What the objective minimizes against the best D."""
    return {"forward-kl": kl(TWO_MODES, fit), "reverse-kl": kl(fit, TWO_MODES), "minimax": jsd(TWO_MODES, fit)}[name]


def best_gaussian(name: str, iterations: int) -> LineMixture:
    """The single Gaussian that the objective reaches from the better of the starts."""
    ends = [descended(name, start, iterations) for start in STARTS]
    return min(ends, key=lambda fit: divergence(name, fit))


def descended(name: str, start: tuple[float, float], iterations: int) -> LineMixture:
    """Where G(z) = m + s z gets to from a start, descending the objective against the best D.

    z is integrated over, not drawn; D's logit is log p_data / p_G at every iteration.
    """
    prior = gaussian(0.0, 1.0)
    z = line(prior, points=2001)
    weight = prior.log_density(z).exp()
    weight = weight / weight.sum()
    mean, log_sigma = (torch.tensor(value, dtype=torch.float64) for value in (start[0], math.log(start[1])))
    parameters = [mean.requires_grad_(True), log_sigma.requires_grad_(True)]
    optimizer = torch.optim.Adam(parameters, lr=0.05)
    for iteration in range(iterations):
        optimizer.param_groups[0]["lr"] = 0.05 * (1.0 - iteration / iterations)
        optimizer.zero_grad()
        x = mean + log_sigma.exp() * z
        now = gaussian(float(mean.detach()), float(log_sigma.detach().exp()))
        logit = TWO_MODES.log_density(x) - now.log_density(x)
        # The losses are means over points; times their weight they are expectations over z.
        (slope,) = torch.autograd.grad(LOSSES[name](logit), logit, retain_graph=True)
        logit.backward(slope * weight * len(z))
        optimizer.step()
    return gaussian(float(mean.detach()), float(log_sigma.detach().exp()))


def lesser_mode_share(mixture: LineMixture) -> float:
    """The mass on the side of zero that has less."""
    right = float(0.5 * (1.0 + math.erf(mixture.means[0] / (mixture.sigmas[0] * math.sqrt(2.0)))))
    return min(right, 1.0 - right)


def between_modes_share(mixture: LineMixture) -> float:
    """The mass within one of zero, where the data have next to none."""
    x = torch.linspace(-1.0, 1.0, 2001, dtype=torch.float64)
    return float(torch.trapezoid(mixture.log_density(x).exp(), x))


@dataclass(frozen=True)
class OnRing:
    """What a GAN shows of the eight modes."""

    samples: npt.NDArray[np.float32]
    modes: int
    high_quality: float
    forward_kl: float
    """KL(p_data ‖ p_G) of the shares of the modes, a sample added to each."""
    reverse_kl: float


def on_ring(objective: Objective, pace: tuple[float, float, int], seed: int, size: Size) -> OnRing:
    """A GAN on the ring, by the real steps."""
    mixture = RING
    generator_rate, discriminator_rate, offset = pace
    seed += offset
    network = MlpSettings(hidden_width=size.hidden_width, hidden_layers=2)
    settings = GanSettings(
        latent_size=2,
        generator=network,
        discriminator=network,
        objective=objective,
        r1_weight=0.0,
        r2_weight=0.0,
        generator_learning_rate=generator_rate,
        discriminator_learning_rate=discriminator_rate,
        ema_half_life_images=10_000,
    )
    step = new_step(settings, (2,), seed)
    data, _ = mixture.sample(50_000, seed)
    training = TrainingSettings(images_seen=size.images_seen, batch_size=size.batch_size, decay_start_share=0.3)
    train(step, torch.from_numpy(data), training, seed)
    samples = step.sample(draws_of(seed).normal("latent", size.samples, 2)).numpy()
    nearest, _ = nearest_center(samples, mixture.centers)
    counts = np.bincount(nearest, minlength=len(mixture.centers)) + 1.0
    shares, uniform = counts / counts.sum(), np.full(len(counts), 1.0 / len(counts))
    return OnRing(
        samples=samples,
        modes=recovered_modes(samples, mixture.centers, mixture.sigma),
        high_quality=high_quality_share(samples, mixture.centers, mixture.sigma),
        forward_kl=kl_of_histograms(uniform, shares),
        reverse_kl=kl_of_histograms(shares, uniform),
    )


def run(seed: int, size: Size = Size()) -> Finding:
    """What each direction does to a generator that is too small, and whether GANs collapse by it."""
    fits = {name: best_gaussian(name, size.iterations) for name in LOSSES}
    rings = {
        (name, kind): on_ring(objective, pace, seed, size)
        for kind, pace in PACES.items()
        for name, objective in GAMES.items()
    }
    quantities = _of_fits(fits)
    games = []
    for (name, kind), found in rings.items():
        who = f"ring-8, {name}, {kind}"
        modes = float(found.modes)
        # By the claim one direction misses modes and nothing else does.
        games.append(
            at_most(f"{who}: modes", modes, 7.0) if name == "reverse-kl" else at_least(f"{who}: modes", modes, 8.0)
        )
        quantities += [
            games[-1],
            shown(f"{who}: KL(p_data ‖ p_G) over modes", found.forward_kl),
            shown(f"{who}: KL(p_G ‖ p_data) over modes", found.reverse_kl),
            shown(f"{who}: samples within 3 sigma", found.high_quality),
        ]
    return Finding(
        claim=CLAIM,
        if_confirmed="the reverse KL misses modes, the forward KL and the symmetric minimax game miss none.",
        if_refuted=refutation(_of_fits(fits), games),
        quantities=tuple(quantities),
        picture=_picture(fits, rings),
    )


def refutation(fits: Sequence[Quantity], games: Sequence[Quantity]) -> str:
    """What the rows say of the best D, and of trained ones, where not all of them hold."""
    best = "decides as claimed" if all(row.holds is not False for row in fits) else "does not decide as claimed"
    astray = sum(not row.holds for row in games)
    return (
        f"against the best D the direction of the KL {best}; "
        f"of {len(games)} games of trained players {astray} miss other modes than it says."
    )


def _of_fits(fits: dict[str, LineMixture]) -> list[Quantity]:
    forward, reverse, minimax = (fits[name] for name in ("forward-kl", "reverse-kl", "minimax"))
    spread = math.hypot(TWO_MODES.means[1], TWO_MODES.sigmas[1])
    return [
        about("one Gaussian, forward KL: mean, against the data's", forward.means[0], 0.0, 0.05),
        about("one Gaussian, forward KL: sigma, against the data's", forward.sigmas[0], spread, 0.05),
        about("one Gaussian, forward KL: share of the lesser mode", lesser_mode_share(forward), 0.5, 0.02),
        at_least("one Gaussian, forward KL: mass between the modes", between_modes_share(forward), 0.2),
        about("one Gaussian, reverse KL: distance from a mode", abs(reverse.means[0]), 2.0, 0.05),
        at_most("one Gaussian, reverse KL: share of the lesser mode", lesser_mode_share(reverse), 0.01),
        at_most("one Gaussian, reverse KL: mass between the modes", between_modes_share(reverse), 0.05),
        shown("one Gaussian, minimax: share of the lesser mode", lesser_mode_share(minimax)),
        shown("one Gaussian, minimax: mass between the modes", between_modes_share(minimax)),
        at_most(
            "forward KL is least for its own fit: excess over the best of the others",
            kl(TWO_MODES, forward) - min(kl(TWO_MODES, reverse), kl(TWO_MODES, minimax)),
            0.0,
            1e-3,
        ),
        at_most(
            "reverse KL is least for its own fit: excess over the best of the others",
            kl(reverse, TWO_MODES) - min(kl(forward, TWO_MODES), kl(minimax, TWO_MODES)),
            0.0,
            1e-3,
        ),
        at_most(
            "JSD is least for minimax's own fit: excess over the best of the others",
            jsd(TWO_MODES, minimax) - min(jsd(TWO_MODES, forward), jsd(TWO_MODES, reverse)),
            0.0,
            1e-3,
        ),
    ]


def _picture(fits: dict[str, LineMixture], rings: dict[tuple[str, str], OnRing]) -> bytes:
    columns, kinds = 1 + len(GAMES), list(PACES)
    page, panels = figure(columns, len(kinds), width=2.7, height=2.8)
    x: Tensor = torch.linspace(-6.0, 6.0, 400, dtype=torch.float64)
    first = panels[0]
    first.fill_between(x, TWO_MODES.log_density(x).exp(), color=GREY, alpha=0.3, label="data")
    for name, fit in fits.items():
        first.plot(x, fit.log_density(x).exp(), color=COLORS[name], label=name)
    first.set_ylim(0.0, 1.1)
    label(first, "One Gaussian on two modes", "x", "density")
    for row in range(1, len(kinds)):
        panels[row * columns].axis("off")
    centers = RING.centers
    for (name, kind), found in rings.items():
        panel = panels[kinds.index(kind) * columns + 1 + list(GAMES).index(name)]
        panel.plot(*centers.T, "o", color=GREY, markersize=9, fillstyle="none")
        panel.plot(*found.samples[:1000].T, ".", color=COLORS[name], markersize=2)
        panel.set_xlim(-1.6, 1.6)
        panel.set_ylim(-1.6, 1.6)
        label(panel, f"{name}: {found.modes} of 8 modes\n{kind}", "x", "y", legend=False)
    return to_png(page)
