"""From a Bundle and a Dataset to a Report: measure, judge, show."""

from __future__ import annotations

from pathlib import Path

from components.artifacts import prepare_output_directory, write_bytes_atomically, write_document
from components.evaluate.champion import Champion, comparable
from components.evaluate.documents import METRICS_NAME, REPORT_NAME, VERDICT_NAME, Metric, Metrics, Verdict
from components.evaluate.gate import judge
from components.evaluate.measure import measure
from components.evaluate.page import render_page
from components.evaluate.reference import reference_of
from components.evaluate.settings import GateSettings
from components.export.bundle import read_bundle
from components.extractor.reader import read_extractor
from components.prepare.dataset import read_manifest
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
    registered_version: str = "",
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
        registered_version: ``models:/NAME/VERSION`` of the bundle, where it came from the registry.

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
    reference = reference_of(dataset, manifest, extractor_directory, extractor, settings)
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
        registered_version=registered_version,
        champion_seen=None if champion is None else champion.version,
        champion_version=version,
        champion=champion_metrics,
        champion_note=note,
        data=facts(manifest),
        data_warnings=manifest.warnings,
    )
    verdict = judge(metrics, settings, limits_source=limits_source)
    write_document(output / METRICS_NAME, metrics)
    page = render_page(bundle, extractor_directory, signature, manifest, metrics, verdict, measured, reference)
    write_bytes_atomically(output / REPORT_NAME, page.encode())
    write_document(output / VERDICT_NAME, verdict)
    return verdict
