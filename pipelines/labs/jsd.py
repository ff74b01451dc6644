"""G4: the best D's value is 2 JSD - 2 log 2; a trained D gives a lower bound, on samples that it has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.diagnostics import LOG_2, jsd_lower_bound
from pipelines.labs.densities import LineMixture, gaussian, jsd
from pipelines.labs.figures import BLUE, GREY, ORANGE, figure, label, to_png
from pipelines.labs.result import Finding, about, at_least, at_most, shown
from pipelines.labs.training import Draw, trained_discriminator

CLAIM = (
    "max_D V = -2 log 2 + 2 JSD(p_data, p_G), from -2 log 2 to 0, and what a trained D reaches bounds the JSD below."
)
DATA = LineMixture((0.5, 0.5), (-1.0, 1.0), (0.4, 0.4))


@dataclass(frozen=True)
class Size:
    """How much is computed."""

    updates: int = 1000
    shifts: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0, 3.0, 6.0)
    held_out: int = 100_000
    few: int = 100
    """Samples of each side that a D learns by heart."""
    few_dimensions: int = 16


def run(seed: int, size: Size = Size()) -> Finding:
    """A D for each distance of p_G from p_data, its bound on fresh samples beside the JSD by quadrature."""
    generator = torch.Generator().manual_seed(seed + 1)
    # The bound is a mean over so many samples; four of its standard errors, each term being at most about 1 nat wide.
    error = 4.0 * 0.5 * (2.0 / size.held_out) ** 0.5
    quantities, bounds = [], []
    for shift in size.shifts:
        generated = gaussian(shift, 1.0)
        truth = jsd(DATA, generated)
        network = trained_discriminator(DATA.sample, generated.sample, seed, updates=size.updates)
        with torch.no_grad():
            real = network(DATA.sample(size.held_out, generator))
            bound = jsd_lower_bound(real, network(generated.sample(size.held_out, generator)))
        bounds.append(bound)
        quantities += [
            about(
                f"p_G at {shift:g}: V of the trained D, against 2 JSD - 2 log 2",
                2.0 * bound - 2.0 * LOG_2,
                2.0 * truth - 2.0 * LOG_2,
                0.03,
            ),
            at_most(f"p_G at {shift:g}: the bound, at most the JSD", bound, truth, error),
        ]
    by_heart = _by_heart(seed, size)
    quantities += [
        shown("equal densities, few samples: the bound on D's own samples", by_heart[0]),
        at_least("equal densities, few samples: it exceeds the JSD of 0", by_heart[0], 0.05),
        at_most("equal densities, few samples: the bound on fresh samples", by_heart[1], 0.0, error),
    ]
    return Finding(
        claim=CLAIM,
        if_confirmed="V is 2 JSD - 2 log 2 to within what D still has to learn, and the bound holds on fresh samples; "
        "on samples that D has learned by heart it does not.",
        if_refuted="V or the bound is not where the theorem puts it.",
        quantities=tuple(quantities),
        picture=_picture(size.shifts, bounds, by_heart, size.few),
    )


def _by_heart(seed: int, size: Size) -> tuple[float, float]:
    """The bound between N(0, I) and itself by a D that saw few samples: on these, and on fresh ones."""
    generator = torch.Generator().manual_seed(seed + 2)

    def fresh(rows: int) -> Tensor:
        return torch.randn(rows, size.few_dimensions, generator=generator)

    few = [fresh(size.few) for _ in range(2)]

    def again(samples: Tensor) -> Draw:
        return lambda rows, random: samples[torch.randint(len(samples), (rows,), generator=random)]

    network = trained_discriminator(again(few[0]), again(few[1]), seed, updates=size.updates, hidden_width=128)
    with torch.no_grad():
        seen = jsd_lower_bound(network(few[0]), network(few[1]))
        unseen = jsd_lower_bound(network(fresh(size.held_out)), network(fresh(size.held_out)))
    return seen, unseen


def _picture(shifts: tuple[float, ...], bounds: list[float], by_heart: tuple[float, float], few: int) -> bytes:
    page, (curve, bars) = figure(2)
    fine = torch.linspace(0.0, max(shifts), 49).tolist()
    curve.plot(fine, [jsd(DATA, gaussian(shift, 1.0)) for shift in fine], color=GREY, label="JSD by quadrature")
    curve.plot(shifts, bounds, "o", color=BLUE, label="bound of a trained D, fresh samples")
    curve.axhline(LOG_2, color=ORANGE, linestyle="--", label="log 2")
    curve.set_ylim(0.0, 1.25 * LOG_2)
    label(curve, "JSD and its lower bound", "position of p_G", "nats")
    bars.bar(["truth", "D's own\nsamples", "fresh\nsamples"], [0.0, *by_heart], color=[GREY, ORANGE, BLUE])
    bars.set_ylim(0.0, 1.05 * LOG_2)
    label(bars, f"p_G = p_data, D saw {few} samples of each", "the bound is taken on", "nats", legend=False)
    return to_png(page)
