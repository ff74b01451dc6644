"""V5: two hand-made penalties need a ratio that nobody knows; the closed form KL needs none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.config import VaeSettings
from models.objectives.variational import kl_mean_part, kl_variance_part
from models.steps.batch import Batch, Moment
from models.steps.step import Execution
from models.steps.vae import Coded, VaeStep, bound_terms
from pipelines.labs import digits
from pipelines.labs.figures import BLUE, GREY, ORANGE, figure, label, to_png
from pipelines.labs.result import Finding, Quantity, about, at_least, shown
from pipelines.labs.training import CPU, draws_of

CLAIM = "‖mu‖² and ‖log sigma²‖² do the KL's work only at a ratio that nobody knows; the closed form needs none."


@dataclass(frozen=True)
class Size(digits.Size):
    """How much is computed."""

    ratios: tuple[float, ...] = (0.1, 0.3, 1.0, 10.0)


class HandMadeStep(VaeStep):
    """A VAE whose KL is replaced by (‖mu‖² + ratio ‖log sigma²‖²) / 2."""

    def __init__(self, settings: VaeSettings, sample_shape: tuple[int, ...], ratio: float) -> None:
        super().__init__(settings, sample_shape, 0, Execution(CPU))
        self.ratio = ratio

    def losses(
        self, network: nn.Module, batch: Batch, noise: Mapping[str, Tensor], moment: Moment
    ) -> dict[str, Tensor]:
        coded = Coded(*network(batch.samples, noise["code"].transpose(0, 1), None))
        terms = bound_terms(coded, self.settings, batch.samples, moment)
        penalty = kl_mean_part(coded.mean) + 0.5 * self.ratio * coded.log_variance.square()
        terms["loss"] = terms["reconstruction_nats"] + penalty.sum(dim=1).mean()
        return terms


def run(seed: int, size: Size = Size()) -> Finding:
    """The closed form and the hand-made pair at several ratios, judged by the same bound."""
    data = digits.digits(size.held_out)
    steps: dict[str, VaeStep] = {"closed form": digits.trained_vae(data, size, seed)}
    for ratio in size.ratios:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            step = HandMadeStep(digits.vae_settings(size), (1, digits.PIXELS, digits.PIXELS), ratio)
        digits.train_on(step, data, size, seed)
        steps[f"ratio {ratio:g}"] = step
    held_out = Batch(data.held_out)
    with torch.no_grad():
        reports = {name: step.diagnose(held_out, held_out, draws_of(seed)) for name, step in steps.items()}
    bounds = {
        name: report["held_out_reconstruction_nats"] + report["held_out_kl_nats"] for name, report in reports.items()
    }
    closed = bounds["closed form"]
    by_hand = [value for name, value in bounds.items() if name != "closed form"]
    best, worst = min(by_hand), max(by_hand)
    quantities: list[Quantity] = [shown("closed form: -ELBO, held-out, nats", closed)]
    quantities += [
        at_least(f"{name}: -ELBO above the closed form's, nats", value - closed, 0.0)
        for name, value in bounds.items()
        if name != "closed form"
    ]
    quantities.append(at_least("what the ratio decides: -ELBO of the worst above the best, nats", worst - best, 1.0))
    for name, report in reports.items():
        quantities += [
            shown(f"{name}: aggregate of codes from the prior, nats", report["aggregate_to_prior_nats"]),
            shown(f"{name}: mean posterior sigma", report["held_out_posterior_sigma"]),
        ]
    quantities += _curvature()
    return Finding(
        claim=CLAIM,
        if_confirmed="every ratio that was tried costs nats of the bound that the closed form does not, "
        f"and how many depends on the ratio: {best - closed:.2g} to {worst - closed:.2g}.",
        if_refuted="a ratio does better than the closed form, or the ratio does not matter, or the closed form's own "
        "ratio is another than it should be.",
        quantities=tuple(quantities),
        picture=_picture(reports, bounds, size.ratios),
    )


def _curvature() -> list[Quantity]:
    """What ratio the closed form has, by its variance part over (log sigma²)² / 2: one at each sigma."""
    log_variance = torch.tensor([1e-3, -2.0, -6.0], dtype=torch.float64)
    ratio = kl_variance_part(log_variance) / (0.5 * log_variance.square())
    return [
        about("ratio of the closed form at sigma near 1", float(ratio[0]), 0.5, 1e-3),
        shown("ratio of the closed form at log sigma² = -2", float(ratio[1])),
        shown("ratio of the closed form at log sigma² = -6", float(ratio[2])),
    ]


def _picture(reports: dict[str, dict[str, float]], bounds: dict[str, float], ratios: tuple[float, ...]) -> bytes:
    page, (penalties, bars, aggregate) = figure(3, width=3.5)
    log_variance = torch.linspace(-8.0, 3.0, 200, dtype=torch.float64)
    for ratio, style in zip(ratios, (":", "--", "-.", (0, (1, 4))), strict=False):
        penalties.plot(
            log_variance, 0.5 * ratio * log_variance.square(), linestyle=style, color=ORANGE, label=f"ratio {ratio:g}"
        )
    penalties.plot(log_variance, kl_variance_part(log_variance), color=BLUE, label="closed form")
    penalties.set_ylim(0.0, 10.0)
    label(penalties, "Price of a variance", "log sigma²", "nats")
    colors = [BLUE] + [ORANGE] * (len(bounds) - 1)
    closed = bounds["closed form"]
    bars.bar(list(bounds), [value - closed for value in bounds.values()], color=colors)
    bars.axhline(0.0, color=GREY, linewidth=1)
    label(bars, "Lost against the closed form", "", "-ELBO above the closed form's, nats", legend=False)
    aggregate.bar(list(reports), [report["aggregate_to_prior_nats"] for report in reports.values()], color=colors)
    label(aggregate, "Codes of all data from N(0, I)", "", "nats, lower bound", legend=False)
    for panel in (bars, aggregate):
        panel.tick_params(axis="x", labelsize=7)
    return to_png(page)
