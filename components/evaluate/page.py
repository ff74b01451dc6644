"""From what was measured of a model to the page that people read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from components.evaluate.documents import Metrics, Verdict
from components.evaluate.measure import Measured
from components.evaluate.neglect import neglected
from components.evaluate.pictures.code_neighbours import code_neighbours
from components.evaluate.pictures.exhibit import Exhibit
from components.evaluate.pictures.graphs import Codes, Renderer
from components.evaluate.pictures.holes import holes
from components.evaluate.pictures.interpolations import between_codes, between_latents
from components.evaluate.pictures.neighbours import nearest_neighbours
from components.evaluate.pictures.rates import code_rates
from components.evaluate.pictures.traversals import along_codes, along_prior
from components.evaluate.reference import Reference
from components.evaluate.report import ReportInputs, WeakMode, render_report
from components.evaluate.scored import Judged, extract
from components.export.bundle import RECIPE_NAME
from components.export.signature import Signature
from components.figures.pictures import grid, scatter
from components.prepare.manifest import Manifest
from components.train.observer import read_events, read_history
from models.metrics.neighbours import nearest

SHOWN: Final = 100
WEAK_MODES: Final = 3
SHOWN_PER_MODE: Final = 8


def render_page(
    bundle: Path,
    extractor_directory: Path,
    signature: Signature,
    manifest: Manifest,
    metrics: Metrics,
    verdict: Verdict,
    measured: Measured,
    reference: Reference,
) -> str:
    """The whole page of a report. The same inputs give the same characters.

    Args:
        bundle: the judged Bundle, with its ``signature``.
        extractor_directory: the finished Extractor that everything was seen by.
        manifest: of the Dataset.
        metrics: as in metrics.json.
        verdict: as in verdict.json.
        measured: samples, codes and reconstructions.
        reference: held-out and training rows.
    """
    is_image = manifest.kind == "image"
    samples, held_out = measured.samples.detail.shown(), reference.held_out.detail.shown()
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(held_out.rows))
    neighbours = None
    if is_image:
        neighbours = nearest_neighbours(
            samples, reference.held_out.detail, reference.training.features, reference.training_pictures
        )
    coding = measured.coding
    return render_report(
        ReportInputs(
            title=f"{signature.lineage.recipe}: {'passed' if verdict.passed else 'failed'}",
            recipe_name=signature.lineage.recipe,
            verdict=verdict,
            metrics=metrics,
            sample_picture=grid(samples.rows[:SHOWN], columns=10)
            if is_image
            else scatter(samples.rows, held_out.rows, neglected_centers(manifest, metrics)),
            real_picture=grid(held_out.rows[order[:SHOWN]], columns=10)
            if is_image
            else scatter(held_out.rows[:0], held_out.rows),
            weakest_modes=_weakest_modes(metrics, samples, held_out) if is_image else [],
            reconstruction_picture=None
            if coding is None or not is_image
            else _reconstruction_picture(held_out.rows, coding.reconstructions.rows),
            neighbours=neighbours,
            latent_space=list(
                _latent_space(bundle, extractor_directory, signature, measured, held_out, reference.labels, order)
            ),
            history=read_history(bundle),
            events=read_events(bundle),
            lineage=_lineage(signature, manifest, metrics),
            settings_json=(bundle / RECIPE_NAME).read_text() if (bundle / RECIPE_NAME).is_file() else "{}",
        )
    )


def _latent_space(
    bundle: Path,
    extractor_directory: Path,
    signature: Signature,
    measured: Measured,
    held_out: Judged,
    labels: npt.NDArray[np.int64],
    order: npt.NDArray[np.int64],
) -> Iterator[Exhibit]:
    """What can be shown of this family's latent space. Of vectors there are no pictures to decode, only rates.

    Rows are taken in ``order``: those of a Dataset may lie class by class.
    """
    codes, coding = None, measured.coding
    if coding is not None:
        order = order[order < len(coding.mean)]
        codes = Codes.of(coding, order)
        if not codes.are_finite():
            return
    held_out, labels = _rows(held_out, order), labels[order]
    if signature.sample.kind == "image":
        renderer = Renderer(bundle, signature)
        yield from _paths(renderer, codes, held_out, labels)
        if codes is not None:
            beside = code_neighbours(codes.mean, held_out.rows, measured.metrics.get("code_neighbour_overlap"))
            if beside is not None:
                yield beside
            found = holes(
                renderer,
                codes,
                held_out,
                lambda pixels: extract(extractor_directory, pixels).features,
                int(labels[0]),
            )
            if found is not None:
                yield found
    if codes is not None and codes.log_variance is not None:
        yield code_rates(codes.mean, codes.log_variance)


def _paths(
    renderer: Renderer, codes: Codes | None, held_out: Judged, labels: npt.NDArray[np.int64]
) -> Iterator[Exhibit]:
    if codes is None:
        yield between_latents(renderer)
        yield along_prior(renderer)
        return
    between = between_codes(renderer, codes.mean, held_out.modes(), labels)
    if between is not None:
        yield between
    yield along_codes(renderer, codes, labels)


def _rows(judged: Judged, order: npt.NDArray[np.int64]) -> Judged:
    """Some of them, by their indices."""
    return Judged(judged.rows[order], judged.features[order], judged.logits[order])


def _lineage(signature: Signature, manifest: Manifest, metrics: Metrics) -> dict[str, str]:
    registered = {"registered version": metrics.registered_version} if metrics.registered_version else {}
    return {
        "recipe": signature.lineage.recipe,
        **registered,
        "images seen in training": f"{signature.lineage.images_seen:,}",
        "seed": str(signature.lineage.seed),
        "dataset": f"{manifest.name} ({manifest.source})",
        "dataset fingerprint": manifest.fingerprint,
        "extractor": metrics.extractor_sha256,
        signature.sampler: metrics.sampler_sha256,
        "samples": metrics.samples_sha256,
        "pipeline run": signature.lineage.pipeline_run_id or "none",
        "code revision": signature.lineage.code_revision or "unknown",
        "champion": metrics.champion_note,
    }


def _weakest_modes(metrics: Metrics, samples: Judged, held_out: Judged) -> list[WeakMode]:
    """The modes with the smallest share relative to the data's, with real pictures and the nearest samples."""
    shares, real_shares = np.array(metrics.mode_shares), np.array(metrics.real_mode_shares)
    relative = np.where(real_shares > 0, shares / np.maximum(real_shares, 1e-12), np.inf)
    weakest = []
    for mode in relative.argsort(kind="stable")[:WEAK_MODES]:
        real = np.flatnonzero(held_out.modes() == mode)[:SHOWN_PER_MODE]
        if not len(real):
            continue
        closest, _ = nearest(held_out.features[real], samples.features)
        weakest.append(
            WeakMode(
                name=metrics.mode_names[mode],
                share=float(shares[mode]),
                real_share=float(real_shares[mode]),
                picture_real=grid(held_out.rows[real], columns=SHOWN_PER_MODE),
                picture_samples=grid(samples.rows[closest], columns=SHOWN_PER_MODE),
            )
        )
    return weakest


def neglected_centers(manifest: Manifest, metrics: Metrics) -> npt.NDArray[np.float64] | None:
    """Centers of a mixture's components with less than half of their share, [K, D]; none of other data.

    A mixture's source names classes by the number of their center; a Dataset puts names in order of their letters.
    """
    if manifest.mixture is None:
        return None
    numbers = [name.removeprefix("mode ") for name in neglected(metrics)]
    rows = [int(number) for number in numbers if number.isdecimal() and int(number) < len(manifest.mixture.centers)]
    return np.asarray(manifest.mixture.centers, dtype=np.float64)[rows]


def _reconstruction_picture(rows: npt.NDArray[Any], reconstructions: npt.NDArray[np.uint8]) -> bytes:
    """Held-out pictures above their reconstructions, row by row."""
    pairs = [part for start in (0, 10, 20) for part in (rows[start : start + 10], reconstructions[start : start + 10])]
    return grid(np.concatenate(pairs), columns=10)
