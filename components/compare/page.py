"""A comparison as people read it: samples side by side, the claims, the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from components.compare.documents import Comparison, Role
from components.evaluate.report import page_template
from components.evaluate.sampling import Sampler
from components.export.bundle import read_bundle
from components.figures.pictures import grid, scatter
from components.onnx_graphs.sessions import open_session, run_in_batches
from components.prepare.dataset import open_split, read_manifest
from models.latents import standard_normal_latents

SHOWN: Final = 64
COLUMNS: Final = 8
RECONSTRUCTED: Final = 8
NAMES: Final[dict[Role, str]] = {
    "gan": "GAN",
    "vae": "VAE",
    "ae": "AE",
    "vae-without-kl": "VAE without KL",
}
ROWS: Final = (
    *("frechet_distance", "frechet_own_codes", "kernel_distance", "relative_mode_share", "modes_covered"),
    *("mode_kl_samples_to_data", "mode_kl_data_to_samples"),
    *("precision", "recall", "density", "coverage", "sharpness_ratio", "memorized_share", "duplicate_share"),
    *("reconstruction_mean_squared_error", "frechet_reconstructions", "latent_hole_ratio", "aggregate_posterior_kl"),
    *(
        "code_bits",
        "drawn_code_mean_squared_error",
        "code_bits_at_vae_error",
        "images_to_reconstruction",
        "images_to_kl",
    ),
    *("negative_elbo", "negative_log_likelihood", "bound_gap", "kl_from_mean", "kl_from_variance", "posterior_sigma"),
    *("active_units", "mutual_information", "code_neighbour_overlap"),
)
MARKS: Final = {"confirmed": "✓ confirmed", "refuted": "✗ refuted", "undecided": "– undecided"}


def render_comparison(comparison: Comparison, bundles: Mapping[Role, Path], dataset: Path) -> str:
    """One self-contained page: no script, no outside address; the same inputs give the same characters.

    Args:
        comparison: as in comparison.json.
        bundles: of the models, by what they are.
        dataset: whose held-out rows are shown beside the samples.
    """
    manifest = read_manifest(dataset)
    real, labels = open_split(dataset, manifest, "test").first(SHOWN)
    is_image = manifest.kind == "image"
    pictures = real.transpose(0, 2, 3, 1) if is_image else real
    samples, reconstructions = {}, {}
    for role, bundle in bundles.items():
        signature = read_bundle(bundle)
        sampler = Sampler(bundle, signature, labels)
        latent = standard_normal_latents(0, SHOWN if is_image else 5_000, signature.latent.size)
        rows = sampler.decoded(latent).rows
        samples[NAMES[role]] = grid(rows, columns=COLUMNS) if is_image else scatter(rows, real)
        if "encoder" in signature.graphs and is_image:
            shown = np.ascontiguousarray(pictures[:RECONSTRUCTED])
            encoder = open_session(bundle / signature.graphs["encoder"].file)
            (mean,) = run_in_batches(encoder, shown, ["mean"])
            decoded = sampler.decoded(mean).rows
            reconstructions[NAMES[role]] = grid(np.concatenate([shown, decoded]), columns=RECONSTRUCTED)
    template = page_template(Path(__file__).with_name("comparison.html.j2"))
    return template.render(
        comparison=comparison,
        names=NAMES,
        marks=MARKS,
        rows=[name for name in ROWS if any(name in one.metrics for one in comparison.contestants)],
        samples=samples,
        reconstructions=reconstructions,
        real_picture=grid(pictures, columns=COLUMNS) if is_image else scatter(real[:0], real),
    )
