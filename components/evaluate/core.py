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
from components.evaluate.measure import extract, measure
from components.evaluate.page import render_page
from components.evaluate.settings import GateSettings
from components.export.bundle import read_bundle
from components.extractor.reader import read_extractor
from components.figures.pictures import picture_hash
from components.prepare.dataset import read_manifest, read_split
from components.prepare.manifest import Manifest
from components.prepare.summary import facts
from models.errors import ArtifactError
from models.metrics.frechet import real_vs_real_floor

FLOOR_PARTITIONS = 20


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
    rows, labels = _held_out_rows(dataset, manifest)
    held_out = extract(extractor_directory, rows)
    floor, _ = real_vs_real_floor(held_out.features, partitions=FLOOR_PARTITIONS, seed=settings.seed)
    arguments = (held_out, labels, extractor_directory, extractor, manifest, settings)
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
        frechet_floor=Metric(value=floor, count=len(rows) // 2, extractor_sha256=extractor.sha256),
        metrics=measured.metrics,
        samples_sha256=picture_hash(np.ascontiguousarray(measured.samples.rows).view(np.uint8)),
        mode_names=extractor.mode_names,
        mode_shares=measured.samples.mode_shares().tolist(),
        real_mode_shares=held_out.mode_shares().tolist(),
        champion_seen=None if champion is None else champion.version,
        champion_version=version,
        champion=champion_metrics,
        champion_note=note,
        data=facts(manifest),
        data_warnings=manifest.warnings,
    )
    verdict = judge(metrics, settings, limits_source=limits_source)
    write_document(output / METRICS_NAME, metrics)
    page = render_page(
        bundle,
        extractor_directory,
        signature,
        manifest,
        metrics,
        verdict,
        measured,
        held_out,
        labels,
        training=None,
    )
    write_bytes_atomically(output / REPORT_NAME, page.encode())
    write_document(output / VERDICT_NAME, verdict)
    return verdict


def _held_out_rows(dataset: Path, manifest: Manifest) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Validation and test rows together, uint8 [N, H, W, C] or float32 [N, D], and their labels, [N]."""
    parts = [read_split(dataset, manifest, split) for split in ("validation", "test")]
    rows = np.concatenate([np.asarray(samples) for samples, _ in parts])
    labels = np.concatenate([np.asarray(labels) for _, labels in parts])
    return rows if manifest.kind == "vector" else np.ascontiguousarray(rows.transpose(0, 2, 3, 1)), labels
