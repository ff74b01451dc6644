"""G5: log(1 - D) is flat exactly where an early G lives; -log D has the same fixed point and is steep there."""

from __future__ import annotations

import torch
from torch import Tensor

from models.objectives.adversarial import generator_non_saturating, generator_saturating
from pipelines.labs.densities import gaussian, line
from pipelines.labs.figures import BLUE, ORANGE, figure, label, to_png
from pipelines.labs.result import Finding, about, at_most

CLAIM = "log(1 - D(G(z))) has no gradient while D wins, -log D(G(z)) has one, and both rest at the same point."
LOSSES = {"saturating": generator_saturating, "non-saturating": generator_non_saturating}
ENDS = (1e-6, 0.5, 1.0 - 1e-6)
EARLY = 6.0
"""Distance, in standard deviations, of an early G from the data."""


def loss_and_slope(name: str, probability: Tensor) -> tuple[Tensor, Tensor]:
    """The loss at D(G(z)) = p and its derivative by D's logit, [N] → [N], [N], float64."""
    logits = torch.logit(probability.double()).requires_grad_(True)
    values = torch.stack([LOSSES[name](logit[None]) for logit in logits])
    (slope,) = torch.autograd.grad(values.sum(), logits)
    return values.detach(), slope


def pull(name: str, distance: float) -> float:
    """The gradient of G's loss by theta, p_data = N(0, 1), G(z) = theta + z, D the best one, theta = ``distance``.

    z is integrated over, not drawn. G descends: a positive gradient takes it towards the data.
    """
    prior = gaussian(0.0, 1.0)
    z = line(prior)
    weight = prior.log_density(z).exp()
    theta = torch.tensor(distance, dtype=torch.float64, requires_grad=True)
    x = theta + z
    # D* has the logit log p_data(x) / p_G(x); it is G's to descend, not to move.
    logit = prior.log_density(x) - gaussian(distance, 1.0).log_density(x)
    (slope,) = torch.autograd.grad(LOSSES[name](logit), logit, retain_graph=True)
    weighted = slope * weight / weight.sum() * len(z)  # the loss is a mean over points; this makes it E over z
    (gradient,) = torch.autograd.grad(logit, theta, weighted)
    return float(gradient)


def run(seed: int) -> Finding:
    """Losses and slopes over D(G(z)), and what they pull a generator with. Nothing is drawn at random."""
    del seed
    quantities = []
    ends = torch.tensor(ENDS, dtype=torch.float64)
    for name, closed in (("saturating", -ends), ("non-saturating", ends - 1.0)):
        values, slopes = loss_and_slope(name, ends)
        expected = torch.log1p(-ends) if name == "saturating" else -torch.log(ends)
        for index, end in enumerate(("1e-6", "1/2", "1 - 1e-6")):
            quantities += [
                about(f"{name}: loss at D = {end}", float(values[index]), float(expected[index]), 1e-9),
                about(f"{name}: slope by the logit at D = {end}", float(slopes[index]), float(closed[index]), 1e-9),
            ]
    early = {name: pull(name, EARLY) for name in LOSSES}
    share = abs(early["saturating"]) / early["non-saturating"]
    quantities += [
        # Where D is sure, -log D is minus D's logit, whose slope in x is -theta: the pull is the distance itself.
        about(f"non-saturating: pull on G, {EARLY:g} sigma away", early["non-saturating"], EARLY, 0.05),
        at_most(f"saturating: its share of that pull, {EARLY:g} sigma away", share, 0.01),
        *(about(f"{name}: pull on G where p_G = p_data", pull(name, 0.0), 0.0, 1e-9) for name in LOSSES),
    ]
    return Finding(
        claim=CLAIM,
        if_confirmed="an early G gets no pull from log(1 - D) and a strong one from -log D; "
        "where p_G = p_data neither moves it.",
        if_refuted="a value, a slope or a resting point is not what the formulas say.",
        quantities=tuple(quantities),
        picture=_picture(),
    )


def _picture() -> bytes:
    page, (by_probability, by_distance) = figure(2)
    probability = torch.sigmoid(torch.linspace(-13.8, 13.8, 201, dtype=torch.float64))
    distances = torch.linspace(0.2, 8.0, 40).tolist()
    for name, color in (("saturating", ORANGE), ("non-saturating", BLUE)):
        formula = "log(1 - D)" if name == "saturating" else "-log D"
        _, slope = loss_and_slope(name, probability)
        by_probability.plot(torch.logit(probability), slope.abs(), color=color, label=formula)
        by_distance.plot(distances, [pull(name, d) for d in distances], color=color, label=formula)
    ticks = {1e-6: "1e-6", 1e-3: "1e-3", 0.5: "0.5", 1 - 1e-3: "1-1e-3", 1 - 1e-6: "1-1e-6"}
    by_probability.set_xticks([float(torch.logit(torch.tensor(p, dtype=torch.float64))) for p in ticks], ticks.values())
    label(by_probability, "Slope of G's loss", "D(G(z)), logit scale", "|d loss / d logit|")
    by_distance.set_yscale("log")
    by_distance.set_ylim(1e-4, 30.0)
    label(by_distance, "Pull on G against the best D", "distance of G from the data, sigma", "gradient by theta")
    return to_png(page)
