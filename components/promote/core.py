"""From a Report to a registered version and, if earned, an alias."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.evaluate.documents import METRICS_NAME, REPORT_NAME, VERDICT_NAME, Metrics, Verdict
from components.evaluate.reader import read_report
from components.export.bundle import RECIPE_NAME, read_bundle
from components.export.signature import Signature
from components.promote.rule import Decision, decide
from components.tracking import (
    CHALLENGER,
    CHAMPION,
    DATASET_NAME_TAG,
    EXTRACTOR_TAG,
    PREVIOUS_CHAMPION_TAG,
    VERDICT_TAG,
    Tracking,
    run_tags,
)
from components.train.observer import SAMPLES_DIRECTORY, read_history
from models.errors import ArtifactError, TrackingError


@dataclass(frozen=True)
class Promotion:
    """What came of it."""

    model_name: str
    version: str
    decision: Decision
    mlflow_run_id: str


def promote(
    bundle: Path,
    report: Path,
    model_name: str,
    *,
    automatic: bool,
    pipeline_run_id: str = "",
    checkpoint: Path | None = None,
    tracking: Tracking | None = None,
) -> Promotion:
    """Register the bundle with its verdict and lineage, then move the alias that it earned.

    A version is always registered, also where the verdict is "failed": the caller decides what a failure means.

    Args:
        bundle: a finished Bundle.
        report: the finished Report of these very graphs.
        model_name: the registered name.
        automatic: whether passing and being non-inferior is enough to become champion.
        pipeline_run_id: the run of the graph, by which everything is found again.
        checkpoint: where training left its curves and pictures, to be shown in MLflow as well.
        tracking: the store; by default the one that the environment names.

    Raises:
        ArtifactError: if an input is incomplete, or the report speaks of other graphs.
        TrackingError: if MLflow cannot be reached.
    """
    signature = read_bundle(bundle)
    metrics, verdict = read_report(report)
    if metrics.sampler_sha256 != signature.graphs[signature.sampler].sha256:
        raise ArtifactError(f"{report} judges other graphs than {bundle} holds.", "Evaluate this bundle first.")
    settings = _settings(bundle)
    store = tracking or Tracking()
    run_id = store.run_for(model_name, pipeline_run_id)
    tags = _tags(signature, metrics, verdict, pipeline_run_id)
    store.log_settings(run_id, settings, tags)
    # A training that was told of while it went on needs no telling again, unless that was another run's: a cached one.
    if signature.lineage.mlflow_run_id != run_id:
        store.log_history(run_id, read_history(bundle))
        if checkpoint is not None:
            store.log_sample_pictures(run_id, _pictures(checkpoint))
    store.log_files(run_id, [report / name for name in (REPORT_NAME, METRICS_NAME, VERDICT_NAME)], "report")
    numbers = {name: metric.value for name, metric in metrics.metrics.items()} | {
        "frechet_floor": metrics.frechet_floor.value
    }
    version = store.register(
        model_name,
        run_id,
        bundle,
        signature.graphs[signature.sampler].file,
        {f"gate/{name}": value for name, value in numbers.items() if value is not None},
        tags,
    )
    unseen = _unseen_champion(store, model_name, version, metrics)
    decision = decide(verdict, automatic=automatic, unseen_champion=unseen)
    _move_alias(store, model_name, version, decision)
    store.finish_run(run_id, passed=decision.passed)
    return Promotion(model_name, version, decision, run_id)


def _unseen_champion(store: Tracking, model_name: str, version: str, metrics: Metrics) -> str | None:
    """The champion, where it is another one than evaluation saw and could have been compared with.

    Another run, or a person, may have moved the alias since; or the evaluation was told of no champion.
    """
    current = store.alias_version(model_name, CHAMPION)
    if current in (None, version, metrics.champion_seen):
        return None
    tags = store.version_tags(model_name, current)
    same_data = tags.get(DATASET_NAME_TAG) == metrics.dataset_name
    return current if same_data and tags.get(EXTRACTOR_TAG) == metrics.extractor_sha256 else None


def _move_alias(store: Tracking, model_name: str, version: str, decision: Decision) -> None:
    if decision.alias is None:
        return
    if decision.alias == CHAMPION:
        previous = store.alias_version(model_name, CHAMPION)
        if previous is not None and previous != version:
            store.tag_version(model_name, version, PREVIOUS_CHAMPION_TAG, previous)
        store.set_alias(model_name, CHAMPION, version)
        if store.alias_version(model_name, CHALLENGER) == version:
            store.delete_alias(model_name, CHALLENGER)
        return
    store.set_alias(model_name, decision.alias, version)


def rollback(model_name: str, to_version: str | None, tracking: Tracking | None = None) -> tuple[str, str]:
    """Give ``champion`` back to an earlier version.

    Args:
        to_version: which; None for the one that the champion replaced.

    Returns:
        The version that served and the one that serves now.

    Raises:
        TrackingError: if there is nothing to go back to.
    """
    store = tracking or Tracking()
    current = store.alias_version(model_name, CHAMPION)
    if current is None:
        raise TrackingError(f"{model_name} has no champion in {store.uri}.", "Promote a version first.")
    target = to_version or store.version_tags(model_name, current).get(PREVIOUS_CHAMPION_TAG)
    if target is None:
        raise TrackingError(
            f"Version {current} of {model_name} replaced no other champion.", "Name a version with --to."
        )
    store.version_tags(model_name, target)  # it must exist
    store.set_alias(model_name, CHAMPION, target)
    return current, target


def _settings(bundle: Path) -> dict[str, Any]:
    """The recipe that a bundle carries.

    Raises:
        ArtifactError: if it is missing or cut short.
    """
    try:
        settings: dict[str, Any] = json.loads((bundle / RECIPE_NAME).read_text())
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{bundle / RECIPE_NAME} is missing or altered.", "Export the bundle again.") from error
    return settings


def _tags(signature: Signature, metrics: Metrics, verdict: Verdict, pipeline_run_id: str) -> dict[str, str]:
    failed = [check.name for check in verdict.checks if not check.passed]
    return {
        **run_tags(pipeline_run_id),
        VERDICT_TAG: "passed" if verdict.passed else "failed",
        "ganvas.failed_checks": ",".join(failed),
        "ganvas.family": signature.family,
        "ganvas.recipe": signature.lineage.recipe,
        "ganvas.recipe_sha256": signature.lineage.recipe_sha256,
        DATASET_NAME_TAG: metrics.dataset_name,
        "ganvas.dataset_fingerprint": metrics.dataset_fingerprint,
        EXTRACTOR_TAG: metrics.extractor_sha256,
        "ganvas.sampler_sha256": metrics.sampler_sha256,
        "ganvas.code_revision": signature.lineage.code_revision,
        **{f"ganvas.data.{name.replace(' ', '_')}": text for name, text in metrics.data.items()},
        **({"ganvas.data.warnings": " ".join(metrics.data_warnings)} if metrics.data_warnings else {}),
    }


def _pictures(checkpoint: Path) -> dict[int, bytes]:
    return {int(path.stem): path.read_bytes() for path in sorted((checkpoint / SAMPLES_DIRECTORY).glob("*.png"))}
