"""How names, numbers and hashes are written for people."""

from __future__ import annotations

import math
import re
from typing import Final

from components.figures.charts import percent

MISSING: Final = "–"
WORDS: Final = {
    "frechet_distance": "Fréchet distance to the held-out data",
    "finite_and_in_range": "Every output finite and in range",
    "non_inferior_to_champion": "Not worse than the champion",
    "smallest_mode_share": "Share of the weakest mode",
    "mode_kl_samples_to_data": "Imbalance of the modes: KL(samples ‖ data), less its floor",
    "mode_kl_data_to_samples": "Imbalance of the modes: KL(data ‖ samples), less its floor",
    "frechet_own_codes": "Fréchet distance from a Gaussian of its own codes",
    "code_bits": "Bits of a code: its KL to the prior",
    "drawn_code_mean_squared_error": "Held-out error per pixel of a code with its noise",
    "code_bits_at_vae_error": "Bits of a code, rounded until it errs as the VAE's with noise",
    "images_to_reconstruction": "Images until reconstruction keeps within 10 % of its change",
    "images_to_kl": "Images until the KL keeps within 10 % of its change",
    "modes_covered": "Modes with a sample",
    "modes_recovered": "Modes with a high-quality sample",
    "high_quality_share": "Samples within 3 sigma of a mode",
    "reconstruction_mean_squared_error": "Held-out reconstruction error per pixel",
    "active_units": "Latent dimensions in use",
    "extractor_accuracy": "Held-out accuracy of the feature extractor",
    "unsound_sample_share": "Outputs not finite or out of range",
    "frechet_extrapolated": "Fréchet distance, extrapolated to endless samples",
    "frechet_of_all_samples": "Fréchet distance of all samples, not corrected",
    "frechet_reconstructions": "Fréchet distance of the reconstructions",
    "kernel_distance": "Kernel distance (KID)",
    "relative_mode_share": "Weakest mode, of its share of the data",
    "precision": "Precision: samples within the data",
    "recall": "Recall: data within the samples",
    "density": "Density of the data around the samples",
    "coverage": "Coverage: data with a sample beside it",
    "sharpness_ratio": "Sharpness, of the data's",
    "memorized_share": "Samples next to a training row",
    "memorization_ratio": "Distance to training rows, of that to held-out rows",
    "duplicate_share": "Samples with a twin among the samples",
    "support_size": "Distinct outputs, estimated",
    "latent_hole_ratio": "Distance of prior samples, of that of reconstructions",
    "aggregate_posterior_kl": "Encoded data against the prior",
    "mutual_information": "What the code tells of the row",
    "code_neighbour_overlap": "Nearest rows that are nearest by code, too",
    "negative_elbo": "Bound on the negative log-likelihood",
    "negative_log_likelihood": "Negative log-likelihood by importance sampling",
    "bound_gap": "What the bound lies above it",
    "bits_per_dimension": "Bits per pixel and channel",
    "posterior_sigma": "Standard deviation of the code's noise",
    "kl_from_mean": "KL from the means",
    "kl_from_variance": "KL from the variances",
    "held_out_rows_per_feature": "Held-out rows per feature",
}
"""Checks and metrics by the names that they have in the documents; others are said by their own words."""

_HASH = re.compile(r"(sha256:)?[0-9a-f]{24,}")


def plain_words(name: str) -> str:
    """A check's or metric's name as people say it."""
    words = name.replace("_", " ").replace("-", " ").replace("sha256", "SHA-256").strip()
    return WORDS.get(name, words[:1].upper() + words[1:])


def number(value: float | None) -> str:
    """At most four significant digits; – for what is missing or not finite."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0.0:
        return "0"
    if abs(value) >= 1e9 or abs(value) < 1e-4:
        mantissa, exponent = f"{value:.2e}".split("e")
        text = f"{mantissa}e{int(exponent)}"
    elif abs(value) >= 1000.0:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.4g}"
    return text.replace("-", "−")


def interval_text(interval: tuple[float, float] | None) -> str:
    """Both ends, or – where there is none."""
    if interval is None or not all(math.isfinite(end) for end in interval):
        return MISSING
    return f"{number(interval[0])} to {number(interval[1])}"


def share_text(share: float) -> str:
    """A share as a percentage, or –."""
    return percent(share) if math.isfinite(share) else MISSING


def short_hash(text: str) -> str:
    """The first twelve digits of a hash; other text as it is."""
    if not _HASH.fullmatch(text):
        return text
    prefix = "sha256:" if text.startswith("sha256:") else ""
    return prefix + text.removeprefix(prefix)[:12] + "…"
