"""From a Bundle and a Dataset to a Report: measure, judge, show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts import prepare_output_directory, write_bytes_atomically, write_document
from components.evaluate.champion import Champion, comparable
from components.evaluate.documents import METRICS_NAME, REPORT_NAME, VERDICT_NAME, Metric, Metrics, Verdict
from components.evaluate.gate import judge
from components.evaluate.measure import Measured, measure
from components.evaluate.reference import read_reference
from components.evaluate.report import ReportInputs, WeakMode, render_report
from components.evaluate.scored import Judged
from components.evaluate.settings import GateSettings
from components.export.bundle import RECIPE_NAME, read_bundle
from components.export.signature import Signature
from components.extractor.reader import read_extractor
from components.figures.pictures import grid, scatter
from components.prepare.dataset import read_manifest
from components.prepare.manifest import Manifest
from components.prepare.summary import facts
from components.train.observer import read_events, read_history
from models.errors import ArtifactError
from models.metrics.frechet import real_vs_real_floor

FLOOR_PARTITIONS = 20
SHOWN = 100
WEAK_MODES = 3
SHOWN_PER_MODE = 8


def evaluate(
    bundle: Path,
    dataset: Path,
    extractor_directory: Path,
    output: Path,
    settings: GateSettings,
    *,
    limits_source: str,
    champion: Champion | None = None,
) -> Verdict:
    """Score the ONNX bytes, judge them, and write a Report. A failed verdict is a result, not an error.

    Args:
        bundle: what would be served.
        dataset: the Dataset whose validation and test splits it is held against.
        extractor_directory: a finished Extractor.
        output: a new directory for metrics.json, report.html and, last, verdict.json.
        settings: the limits.
        limits_source: where they come from, for the reader.
        champion: what serves now, if anything.

    Raises:
        ArtifactError: if an input is incomplete or they do not belong together.
    """
    signature, manifest = read_bundle(bundle), read_manifest(dataset)
    extractor = read_extractor(extractor_directory)
    if signature.sample.shape != manifest.sample_shape:
        raise ArtifactError(
            f"{bundle} makes samples of shape {signature.sample.shape}, {dataset} holds {manifest.sample_shape}.",
            "Judge the model on the data it was trained for.",
        )
    prepare_output_directory(output, VERDICT_NAME)
    reference = read_reference(
        dataset,
        manifest,
        extractor_directory,
        extractor,
        held_out=settings.detailed_samples,
        training=settings.training_rows,
    )
    held_out = reference.held_out.detail
    floor, _ = real_vs_real_floor(held_out.features, partitions=FLOOR_PARTITIONS, seed=settings.seed)
    arguments = (reference, extractor_directory, extractor, manifest, settings)
    measured = measure(bundle, signature, *arguments)
    version, champion_metrics, note = None, {}, "there is no champion yet"
    if champion is not None:
        champion_signature, note = comparable(champion, manifest, extractor.sha256)
        if champion_signature is not None:
            champion_metrics = measure(champion.bundle, champion_signature, *arguments).metrics
            version, note = champion.version, f"compared with version {champion.version} on the same data and seed"
    metrics = Metrics(
        family=signature.family,
        dataset_name=manifest.name,
        dataset_fingerprint=manifest.fingerprint,
        extractor_sha256=extractor.sha256,
        sampler_sha256=signature.graphs[signature.sampler].sha256,
        frechet_floor=Metric(value=floor, count=len(held_out.features) // 2, extractor_sha256=extractor.sha256),
        metrics=measured.metrics,
        samples_sha256=measured.samples.rows_sha256,
        mode_names=extractor.mode_names,
        mode_shares=measured.samples.sums.mode_shares().tolist(),
        real_mode_shares=reference.held_out.sums.mode_shares().tolist(),
        code=measured.code,
        champion_seen=None if champion is None else champion.version,
        champion_version=version,
        champion=champion_metrics,
        champion_note=note,
        data=facts(manifest),
        data_warnings=manifest.warnings,
    )
    verdict = judge(metrics, settings, limits_source=limits_source)
    write_document(output / METRICS_NAME, metrics)
    page = _report(bundle, signature, manifest, metrics, verdict, measured, held_out.shown())
    write_bytes_atomically(output / REPORT_NAME, page.encode())
    write_document(output / VERDICT_NAME, verdict)
    return verdict


def _report(
    bundle: Path,
    signature: Signature,
    manifest: Manifest,
    metrics: Metrics,
    verdict: Verdict,
    measured: Measured,
    held_out: Judged,
) -> str:
    lineage = {
        "recipe": signature.lineage.recipe,
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
    settings = (bundle / RECIPE_NAME).read_text() if (bundle / RECIPE_NAME).is_file() else "{}"
    is_image = manifest.kind == "image"
    samples, real = measured.samples.detail.rows, held_out.rows
    shown = np.random.Generator(np.random.PCG64(0)).permutation(len(real))[:SHOWN]
    return render_report(
        ReportInputs(
            title=f"{signature.lineage.recipe}: {'passed' if verdict.passed else 'failed'}",
            recipe_name=signature.lineage.recipe,
            verdict=verdict,
            metrics=metrics,
            sample_picture=grid(samples[:SHOWN], columns=10) if is_image else scatter(samples, real),
            real_picture=grid(real[shown], columns=10) if is_image else scatter(real[:0], real),
            weakest_modes=_weakest_modes(metrics, measured.samples.detail.shown(), held_out) if is_image else [],
            reconstruction_picture=_reconstruction_picture(
                real, None if measured.coding is None or not is_image else measured.coding.reconstructions.rows
            ),
            history=read_history(bundle),
            events=read_events(bundle),
            lineage=lineage,
            settings_json=settings,
        )
    )


def _weakest_modes(metrics: Metrics, samples: Judged, held_out: Judged) -> list[WeakMode]:
    """The modes with the smallest share relative to the data's, with real pictures and the nearest samples."""
    shares, real_shares = np.array(metrics.mode_shares), np.array(metrics.real_mode_shares)
    relative = np.where(real_shares > 0, shares / np.maximum(real_shares, 1e-12), np.inf)
    weakest = []
    for mode in relative.argsort(kind="stable")[:WEAK_MODES]:
        real = np.flatnonzero(held_out.modes() == mode)[:SHOWN_PER_MODE]
        if not len(real):
            continue
        nearest = _nearest(held_out.features[real], samples.features)
        weakest.append(
            WeakMode(
                name=metrics.mode_names[mode],
                share=float(shares[mode]),
                real_share=float(real_shares[mode]),
                picture_real=grid(held_out.rows[real], columns=SHOWN_PER_MODE),
                picture_samples=grid(samples.rows[nearest], columns=SHOWN_PER_MODE),
            )
        )
    return weakest


def _nearest(features: npt.NDArray[np.float32], among: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """For each row of ``features`` [N, d] the index of the nearest row of ``among`` [M, d]."""
    squared = np.square(among).sum(axis=1) - 2.0 * features @ among.T
    return np.asarray(squared.argmin(axis=1), dtype=np.int64)


def _reconstruction_picture(rows: npt.NDArray[Any], reconstructions: npt.NDArray[np.uint8] | None) -> bytes | None:
    """Held-out pictures above their reconstructions, row by row."""
    if reconstructions is None:
        return None
    pairs = [part for start in (0, 10, 20) for part in (rows[start : start + 10], reconstructions[start : start + 10])]
    return grid(np.concatenate(pairs), columns=10)
