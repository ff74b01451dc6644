"""V6: without the KL the variance goes to zero and the VAE degenerates into an autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch

from models.alarms import alarms_of
from models.objectives.variational import reparameterize
from models.steps.batch import Batch
from pipelines.labs import digits
from pipelines.labs.digits import code_of, decoded, mean_squared_error
from pipelines.labs.figures import BLUE, GREY, ORANGE, figure, label, to_png
from pipelines.labs.result import Finding, about, at_least, at_most, shown
from pipelines.labs.training import draws_of

CLAIM = "Without the KL the posterior's variance falls to zero and the VAE degenerates into an autoencoder."
ALARM = "collapse-to-autoencoder"


@dataclass(frozen=True)
class Size(digits.Size):
    """How much is computed."""

    betas: tuple[float, ...] = (1.0, 0.1, 0.01, 0.001, 0.0)


def run(seed: int, size: Size = Size()) -> Finding:
    """The same VAE with less and less KL, and an autoencoder beside it."""
    data = digits.digits(size.held_out)
    held_out = Batch(data.held_out)
    reports: dict[float, dict[str, float]] = {}
    alarms: dict[float, bool] = {}
    errors: dict[float, float] = {}
    by_noise: dict[float, float] = {}
    for beta in size.betas:
        step = digits.trained_vae(data, size, seed, beta=beta)
        with torch.no_grad():
            reports[beta] = step.diagnose(held_out, held_out, draws_of(seed))
        alarms[beta] = any(alarm.name == ALARM for alarm in alarms_of([reports[beta]], progress=1.0))
        network = step.network_ema
        errors[beta] = mean_squared_error(decoded(network, code_of(network, data.held_out)), data.held_out)
        with torch.no_grad():
            noise = draws_of(seed).normal("code", size.held_out, digits.LATENT)
            mean, log_variance = network.encoder(data.held_out)
            drawn = reparameterize(mean, log_variance, noise)
        by_noise[beta] = mean_squared_error(decoded(network, drawn), data.held_out) / errors[beta]
    autoencoder = digits.trained_autoencoder(data, size, seed).network_ema
    own = mean_squared_error(decoded(autoencoder, code_of(autoencoder, data.held_out)), data.held_out)
    sigmas = [report["held_out_posterior_sigma"] for report in reports.values()]
    first, last = size.betas[0], size.betas[-1]
    quantities = []
    for beta, report in reports.items():
        quantities += [
            shown(f"beta {beta:g}: mean posterior sigma", report["held_out_posterior_sigma"]),
            shown(f"beta {beta:g}: noise to signal", report.get("noise_to_signal", 1.0)),
            shown(f"beta {beta:g}: aggregate of codes from the prior, nats", report["aggregate_to_prior_nats"]),
            shown(f"beta {beta:g}: alarm {ALARM} (1: yes)", float(alarms[beta])),
            shown(f"beta {beta:g}: squared error of held-out digits", errors[beta]),
        ]
    rise = max(after - before for before, after in pairwise(sigmas))
    quantities += [
        shown("autoencoder: squared error of held-out digits", own),
        at_most("largest rise of sigma as beta falls", rise, 0.0),
        at_most(f"sigma at beta {last:g}, share of that at {first:g}", sigmas[-1] / sigmas[0], 0.05),
        about(f"alarm at beta {first:g}", float(alarms[first]), 0.0, 0.0),
        about(f"alarm at beta {last:g}", float(alarms[last]), 1.0, 0.0),
        at_least(
            f"aggregate's distance from the prior at beta {last:g}, over that at {first:g}",
            reports[last]["aggregate_to_prior_nats"] / reports[first]["aggregate_to_prior_nats"],
            10.0,
        ),
        shown(f"growth of the error by the code's noise at beta {first:g}", by_noise[first]),
        about(f"growth of the error by the code's noise at beta {last:g}", by_noise[last], 1.0, 0.01),
        at_most(f"squared error at beta {last:g}, over the autoencoder's", errors[last] / own, 1.0, 0.1),
    ]
    return Finding(
        claim=CLAIM,
        if_confirmed="sigma falls with beta to next to nothing, the alarm says so, the prior loses its meaning, "
        "and the code is single-valued and reconstructs no worse than the autoencoder's.",
        if_refuted="sigma does not fall with beta as claimed, or the alarm does not follow it, or what is left is not "
        "an autoencoder.",
        quantities=tuple(quantities),
        picture=_picture(reports, errors, own),
    )


def _picture(reports: dict[float, dict[str, float]], errors: dict[float, float], own: float) -> bytes:
    page, (noise, aggregate, error) = figure(3, width=3.3)
    names = [f"{beta:g}" for beta in reports]
    noise.plot(
        names, [report["held_out_posterior_sigma"] for report in reports.values()], "o-", color=BLUE, label="sigma"
    )
    shares = [report.get("noise_to_signal", 1.0) for report in reports.values()]
    noise.plot(names, shares, "s--", color=ORANGE, label="noise to signal")
    noise.axhline(1e-3, color=GREY, linestyle=":", label="alarm")
    noise.set_yscale("log")
    label(noise, "Noise on the code", "beta", "mean posterior sigma; variances' ratio")
    aggregate.plot(names, [report["aggregate_to_prior_nats"] for report in reports.values()], "o-", color=BLUE)
    aggregate.set_yscale("log")
    label(aggregate, "Codes of all data from N(0, I)", "beta", "nats, lower bound", legend=False)
    error.plot(names, list(errors.values()), "o-", color=BLUE, label="VAE")
    error.axhline(own, color=ORANGE, linestyle="--", label="autoencoder")
    error.set_ylim(bottom=0.0)
    label(error, "Held-out reconstruction", "beta", "squared error per pixel")
    return to_png(page)
