"""G3: for fixed G the best D is p_data / (p_data + p_G)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipelines.labs.densities import LineMixture, gaussian, line
from pipelines.labs.figures import BLUE, GREEN, GREY, ORANGE, figure, label, to_png
from pipelines.labs.result import Finding, about, at_most
from pipelines.labs.training import trained_discriminator

CLAIM = "For a fixed G the best D is p_data / (p_data + p_G), and one half everywhere when the two are equal."
DATA = LineMixture((0.4, 0.6), (-1.5, 1.5), (0.5, 0.8))
GENERATED = gaussian(0.0, 1.5)


@dataclass(frozen=True)
class Size:
    """How much is computed."""

    updates: int = 3000
    batch_size: int = 512


def best_logit(data: LineMixture, generated: LineMixture, x: Tensor) -> Tensor:
    """log p_data / p_G: the logit of p_data / (p_data + p_G)."""
    return data.log_density(x) - generated.log_density(x)


@torch.no_grad()
def distance_to_best(network: nn.Module, data: LineMixture, generated: LineMixture) -> tuple[float, float]:
    """Mean of |D - D*| over (p_data + p_G) / 2, and its largest value where that density is at least a hundredth."""
    x = line(data, generated)
    weight = 0.5 * (data.log_density(x).exp() + generated.log_density(x).exp())
    logits = network(x[:, None].float()).double()
    difference = (torch.sigmoid(logits) - torch.sigmoid(best_logit(data, generated, x))).abs()
    mean = torch.trapezoid(weight * difference, x) / torch.trapezoid(weight, x)
    return float(mean), float(difference[weight >= 0.01].max())


def run(seed: int, size: Size = Size()) -> Finding:
    """Train D between two known densities, and between one and itself."""
    pairs = {"different": (DATA, GENERATED), "equal": (DATA, DATA)}
    networks = {
        name: trained_discriminator(
            data.sample, generated.sample, seed, updates=size.updates, batch_size=size.batch_size
        )
        for name, (data, generated) in pairs.items()
    }
    quantities = []
    for name, pair in pairs.items():
        mean, largest = distance_to_best(networks[name], *pair)
        quantities += [
            at_most(f"{name}: mean of |D - D*|", mean, 0.02),
            at_most(f"{name}: largest |D - D*| where there are samples", largest, 0.08),
        ]
    x = line(DATA)
    weight = DATA.log_density(x).exp()
    with torch.no_grad():
        flat = torch.sigmoid(networks["equal"](x[:, None].float())).double()
    quantities.append(about("equal: mean of D", float(torch.trapezoid(weight * flat, x)), 0.5, 0.01))
    return Finding(
        claim=CLAIM,
        if_confirmed="the trained D follows p_data / (p_data + p_G), and stays at one half between equal densities.",
        if_refuted="the trained D is not at p_data / (p_data + p_G).",
        quantities=tuple(quantities),
        picture=_picture(networks),
    )


@torch.no_grad()
def _picture(networks: Mapping[str, nn.Module]) -> bytes:
    page, (densities, probabilities) = figure(2)
    x = torch.linspace(-4.0, 4.5, 400, dtype=torch.float64)
    densities.plot(x, DATA.log_density(x).exp(), color=BLUE, label="p_data")
    densities.plot(x, GENERATED.log_density(x).exp(), color=ORANGE, label="p_G")
    label(densities, "Two known densities", "x", "density")
    best = torch.sigmoid(best_logit(DATA, GENERATED, x))
    probabilities.plot(x, best, color=GREY, linewidth=4, alpha=0.5, label="D* = p_data / (p_data + p_G)")
    probabilities.plot(x, torch.sigmoid(networks["different"](x[:, None].float())), color=BLUE, label="trained D")
    probabilities.plot(
        x, torch.sigmoid(networks["equal"](x[:, None].float())), color=GREEN, label="trained D, p_G = p_data"
    )
    probabilities.set_ylim(-0.02, 1.25)
    label(probabilities, "What D says", "x", "D(x)")
    return to_png(page)
