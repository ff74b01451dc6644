"""The comparison's claims, each confirmed or refuted by numbers. Pure functions of what was measured.

A difference decides where the intervals of its two sides, if both have one, do not overlap; else it is undecided.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from components.compare.documents import Claim, Contestant, Figure, Role
from components.evaluate.documents import Metric

Outcome = Literal["confirmed", "refuted", "undecided"]
LOOSE_SHARE = 0.05
"""Part of the negative log-likelihood above which the bound's gap is more than a detail."""
ZERO_SIGMA = 0.1
"""Posterior deviation, as a part of the VAE's, below which the noise is gone."""
ALIKE = 1.5
"""Ratio up to which two errors are of one size."""


@dataclass(frozen=True)
class _Side:
    role: Role
    metric: str

    def of(self, contestants: Mapping[Role, Contestant]) -> Metric | None:
        found = contestants.get(self.role)
        metric = None if found is None else found.metrics.get(self.metric)
        return metric if metric is not None and metric.value is not None and math.isfinite(metric.value) else None

    def figure(self, contestants: Mapping[Role, Contestant]) -> Figure:
        metric = self.of(contestants)
        return Figure(
            name=f"{self.role}: {self.metric}",
            value=None if metric is None else metric.value,
            interval=None if metric is None else metric.interval,
        )


def claims_of(contestants: Mapping[Role, Contestant]) -> list[Claim]:
    """Every claim of the tutorial's comparison.

    Args:
        contestants: by what they are; one that is missing leaves its claims undecided.
    """
    rules: list[Callable[[Mapping[Role, Contestant]], Claim]] = [
        _blur,
        _bound,
        _autoencoder_cannot_sample,
        _zero_variance,
        _collapse,
        _generates_and_compresses,
        _reconstruction,
        _easy_path,
    ]
    return [rule(contestants) for rule in rules]


def _blur(contestants: Mapping[Role, Contestant]) -> Claim:
    vae, gan = _Side("vae", "sharpness_ratio"), _Side("gan", "sharpness_ratio")
    outcome, reason = _less(vae, gan, contestants, "as sharp as the data is 1; the VAE's samples are {}, the GAN's {}")
    return Claim(
        name="blur",
        statement="A VAE's samples are blurrier than a GAN's.",
        outcome=outcome,
        reason=reason,
        figures=[vae.figure(contestants), gan.figure(contestants)],
    )


def _bound(contestants: Mapping[Role, Contestant]) -> Claim:
    gap, likelihood = _Side("vae", "bound_gap"), _Side("vae", "negative_log_likelihood")
    nats, whole = gap.of(contestants), likelihood.of(contestants)
    outcome: Outcome = "undecided"
    reason = "the likelihood was not estimated"
    if nats is not None and whole is not None and nats.value is not None and whole.value:
        share = nats.value / abs(whole.value)
        low = nats.interval[0] if nats.interval else nats.value
        outcome = "confirmed" if low > 0.0 and share > LOOSE_SHARE else "refuted"
        reason = (
            f"the bound lies {nats.value:.2f} nats above the estimate by importance sampling, {share:.1%} of it: "
            + ("a part that matters" if outcome == "confirmed" else "too little to explain how its samples look")
        )
    return Claim(
        name="bound",
        statement="It is so because a VAE optimizes a bound of the likelihood and not the likelihood.",
        outcome=outcome,
        reason=reason,
        figures=[gap.figure(contestants), likelihood.figure(contestants)],
    )


def _autoencoder_cannot_sample(contestants: Mapping[Role, Contestant]) -> Claim:
    vae, ae = (_Side(role, "frechet_distance") for role in ("vae", "ae"))
    own_vae, own_ae = (_Side(role, "frechet_own_codes") for role in ("vae", "ae"))
    prior, reason = _less(vae, ae, contestants, "from N(0, I) the VAE's samples lie {} from the data, the AE's {}")
    # Badly from N(0, I) alone would say where its codes do not lie, and nothing of holes between them.
    words = "each from a Gaussian of its own codes, the VAE's lie {}, the AE's {}"
    holes, more = _less(own_vae, own_ae, contestants, words)
    sides = (vae, ae, own_vae, own_ae, _Side("vae", "latent_hole_ratio"), _Side("ae", "latent_hole_ratio"))
    return Claim(
        name="autoencoder-cannot-sample",
        statement="An AE cannot sample: its code space has holes where a VAE's has none.",
        outcome=_both(prior, holes),
        reason=f"{reason}; {more}",
        figures=[side.figure(contestants) for side in sides],
    )


def _zero_variance(contestants: Mapping[Role, Contestant]) -> Claim:
    sigma, sigma_without = (_Side(role, "posterior_sigma") for role in ("vae", "vae-without-kl"))
    error, error_of_ae = (_Side(role, "reconstruction_mean_squared_error") for role in ("vae-without-kl", "ae"))
    figures = [side.figure(contestants) for side in (sigma, sigma_without, error, error_of_ae)]
    outcome: Outcome = "undecided"
    reason = "a VAE trained without its KL was not among the models"
    values = [figure.value for figure in figures]
    if all(value is not None for value in values):
        with_kl, without, own, other = (value or 0.0 for value in values)
        vanished, alike = without < ZERO_SIGMA * with_kl, max(own, other) < ALIKE * min(own, other)
        outcome = "confirmed" if vanished and alike else "refuted"
        reason = (
            f"without the KL the mean posterior deviation is {without:.3g} where it was {with_kl:.3g}, and the "
            f"reconstruction error {own:.3g} where the AE's is {other:.3g}"
        )
    return Claim(
        name="zero-variance",
        statement="A VAE whose variance goes to zero is an AE.",
        outcome=outcome,
        reason=reason,
        figures=figures,
    )


def _collapse(contestants: Mapping[Role, Contestant]) -> Claim:
    gan, vae = _Side("gan", "recall"), _Side("vae", "recall")
    weakest = [_Side(role, "relative_mode_share") for role in ("gan", "vae")]
    outcome, reason = _less(gan, vae, contestants, "of the data the GAN's samples reach {}, the VAE's {}", margin=0.05)
    return Claim(
        name="collapse",
        statement="A GAN collapses where a VAE covers.",
        outcome=outcome,
        reason=reason,
        figures=[side.figure(contestants) for side in (gan, vae, *weakest)],
    )


def _generates_and_compresses(contestants: Mapping[Role, Contestant]) -> Claim:
    gan, vae = _Side("gan", "frechet_distance"), _Side("vae", "frechet_distance")
    bits, bits_of_ae = _Side("vae", "code_bits"), _Side("ae", "code_bits_at_vae_error")
    generates, reason = _less(gan, vae, contestants, "the GAN's samples lie {} from the data, the VAE's {}")
    words = "the VAE's code takes {} bits, the AE's rounded until it errs as much {}; a GAN has none"
    compresses, more = _less(bits, bits_of_ae, contestants, words)
    coder = contestants.get("ae")
    if coder is not None and bits_of_ae.metric in coder.metrics and bits_of_ae.of(contestants) is None:
        more = (
            "bits have no error to be compared at: the AE's code errs more than the VAE's however finely it is rounded"
        )
    sides = (gan, vae, bits, bits_of_ae, _Side("vae", "drawn_code_mean_squared_error"))
    return Claim(
        name="generates-and-compresses",
        statement="A GAN generates, a VAE compresses.",
        outcome=_both(generates, compresses),
        reason=f"{reason}; {more}",
        figures=[side.figure(contestants) for side in sides],
    )


def _easy_path(contestants: Mapping[Role, Contestant]) -> Claim:
    reconstruction, kl = _Side("vae", "images_to_reconstruction"), _Side("vae", "images_to_kl")
    words = "nine tenths of their way from the first report to the last, reconstruction has gone after {} images, KL {}"
    outcome, reason = _less(reconstruction, kl, contestants, words, form=",.0f")
    return Claim(
        name="easy-path-first",
        statement="Training takes the easy path first: reconstruction improves early, the KL is paid later.",
        outcome=outcome,
        reason=reason,
        figures=[reconstruction.figure(contestants), kl.figure(contestants)],
    )


def _reconstruction(contestants: Mapping[Role, Contestant]) -> Claim:
    ae, vae = (_Side(role, "reconstruction_mean_squared_error") for role in ("ae", "vae"))
    outcome, reason = _less(ae, vae, contestants, "per pixel the AE misses held-out pictures by {}, the VAE by {}")
    return Claim(
        name="noise-costs-reconstruction",
        statement="Noise in the code costs reconstruction: the AE's is the better one.",
        outcome=outcome,
        reason=reason,
        figures=[ae.figure(contestants), vae.figure(contestants)],
    )


def _less(
    smaller: _Side,
    larger: _Side,
    contestants: Mapping[Role, Contestant],
    words: str,
    *,
    margin: float = 0.0,
    form: str = ".3g",
) -> tuple[Outcome, str]:
    """Whether one number is below another by more than chance, or than ``margin`` where they have no interval."""
    one, other = smaller.of(contestants), larger.of(contestants)
    if one is None or other is None or one.value is None or other.value is None:
        missing = smaller if one is None else larger
        return "undecided", f"{missing.metric} of {missing.role} was not measured"
    reason = words.format(format(one.value, form), format(other.value, form))
    low, high = one.interval or (one.value - margin, one.value + margin), other.interval or (other.value, other.value)
    if low[1] < high[0]:
        return "confirmed", reason
    if high[1] < low[0]:
        return "refuted", f"{reason}: the other way round"
    return "undecided", f"{reason}: too close to tell"


def _both(first: Outcome, second: Outcome) -> Outcome:
    """Of a claim with two halves: one that is refuted refutes it, both must be confirmed."""
    if "refuted" in (first, second):
        return "refuted"
    return "confirmed" if first == second == "confirmed" else "undecided"
