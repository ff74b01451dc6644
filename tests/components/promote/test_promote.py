"""Promotion into a real MLflow store."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.evaluate.champion import find_champion
from components.evaluate.documents import VERDICT_NAME
from components.promote.core import Promotion, promote, rollback
from components.tracking import RUN_TAG, Tracking
from models.errors import ArtifactError, TrackingError
from models.latents import standard_normal_latents

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # mlflow's own
Promote = Callable[..., Promotion]


@pytest.fixture
def report(tiny: Any, tmp_path: Path) -> Callable[..., Path]:
    """A Report of the tiny GAN with the verdict that a test needs."""

    def make(*, passed: bool = True, non_inferior: bool = True) -> Path:
        copy = tmp_path / f"report-{passed}-{non_inferior}"
        if not copy.exists():
            shutil.copytree(tiny("gan").report, copy)
            document = json.loads((copy / VERDICT_NAME).read_text())
            document |= {"passed": passed, "non_inferior": non_inferior}
            for check in document["checks"]:
                check["passed"] = passed or check["name"] != "frechet_distance"
            (copy / VERDICT_NAME).write_text(json.dumps(document))
        return copy

    return make


@pytest.fixture
def promoted(tiny: Any, report: Callable[..., Path], store: Tracking) -> Promote:
    def run(name: str, run_id: str = "", *, automatic: bool = True, **verdict: bool) -> Promotion:
        return promote(
            tiny("gan").bundle,
            report(**verdict),
            name,
            automatic=automatic,
            pipeline_run_id=run_id,
            checkpoint=tiny("gan").checkpoint,
            tracking=store,
        )

    return run


def aliases(store: Tracking, name: str) -> dict[str, str | None]:
    return {alias: store.alias_version(name, alias) for alias in ("champion", "challenger")}


def test_a_failed_verdict_registers_with_tags_and_moves_no_alias(promoted: Promote, store: Tracking, tiny: Any) -> None:
    result = promoted("failing", "run-1", passed=False)
    assert not result.decision.passed
    assert aliases(store, "failing") == {"champion": None, "challenger": None}
    tags = store.version_tags("failing", result.version)
    assert tags["ganvas.verdict"] == "failed"
    assert tags["ganvas.failed_checks"] == "frechet_distance"
    assert tags[RUN_TAG] == "run-1"
    assert tags["ganvas.recipe_sha256"] == tiny("gan").recipe.sha256
    assert store.client.get_run(result.mlflow_run_id).info.status == "FAILED"


@pytest.mark.parametrize(("automatic", "non_inferior"), [(False, True), (True, False)])
def test_passed_but_not_automatic_or_not_better_is_the_challenger(
    promoted: Promote, store: Tracking, automatic: bool, non_inferior: bool
) -> None:
    name = f"challenge-{automatic}-{non_inferior}"
    result = promoted(name, automatic=automatic, non_inferior=non_inferior)
    assert aliases(store, name) == {"champion": None, "challenger": result.version}
    assert store.client.get_run(result.mlflow_run_id).info.status == "FINISHED"


def test_the_life_of_a_model(promoted: Promote, store: Tracking) -> None:
    first = promoted("life", "run-1")
    assert aliases(store, "life") == {"champion": "1", "challenger": None}
    assert "previous_champion" not in store.version_tags("life", first.version)

    again = promoted("life", "run-1")  # a retry
    assert (again.version, again.mlflow_run_id) == (first.version, first.mlflow_run_id)
    assert len(store.client.search_model_versions("name = 'life'")) == 1
    assert "previous_champion" not in store.version_tags("life", "1")

    promoted("life", "run-2", passed=False)
    assert aliases(store, "life") == {"champion": "1", "challenger": None}

    third = promoted("life", "run-3", automatic=False)
    assert aliases(store, "life") == {"champion": "1", "challenger": third.version}
    promoted("life", "run-3", automatic=True)  # now it may
    assert aliases(store, "life") == {"champion": third.version, "challenger": None}
    assert store.version_tags("life", third.version)["previous_champion"] == "1"

    assert rollback("life", None, store) == (third.version, "1")
    assert aliases(store, "life")["champion"] == "1"
    with pytest.raises(TrackingError, match="replaced no other"):
        rollback("life", None, store)
    assert rollback("life", "2", store) == ("1", "2")
    with pytest.raises(TrackingError):
        rollback("life", "99", store)
    assert aliases(store, "life")["champion"] == "2"


def test_a_challenger_of_another_version_stays(promoted: Promote, store: Tracking) -> None:
    promoted("stays", "run-1", automatic=False)
    promoted("stays", "run-2")
    assert aliases(store, "stays") == {"champion": "2", "challenger": "1"}


def test_anyone_can_load_the_champion_and_the_bundle_lies_beside_it(
    promoted: Promote, store: Tracking, tiny: Any, tmp_path: Path
) -> None:
    import mlflow
    import onnxruntime

    promoted("loadable", "run-1")
    mlflow.set_tracking_uri(store.uri)
    mlflow.set_registry_uri(store.uri)
    loaded = mlflow.onnx.load_model("models:/loadable@champion")
    latent = standard_normal_latents(0, 4, 8)
    (image,) = onnxruntime.InferenceSession(loaded.SerializeToString()).run(["image"], {"latent": latent})
    golden = np.load(tiny("gan").bundle / "golden.npy")
    assert np.abs(image - golden).max() < 1e-6
    champion = find_champion("loadable", tmp_path / "download", store)
    assert champion is not None
    assert champion.dataset_name == "digits"
    names = sorted(path.name for path in tiny("gan").bundle.iterdir())
    assert sorted(path.name for path in champion.bundle.iterdir()) == names
    for name in names:
        assert (champion.bundle / name).read_bytes() == (tiny("gan").bundle / name).read_bytes()


def test_the_run_shows_settings_curves_pictures_and_the_report(promoted: Promote, store: Tracking, tiny: Any) -> None:
    result = promoted("shown", "run-1")
    run = store.client.get_run(result.mlflow_run_id)
    assert run.data.params["training.images_seen"] == "640"
    assert "gate/frechet_distance" in run.data.metrics
    curve = store.client.get_metric_history(result.mlflow_run_id, "train/discriminator_loss")
    assert [point.step for point in curve] == list(range(64, 641, 64))
    assert {file.path for file in store.client.list_artifacts(result.mlflow_run_id, "report")} == {
        "report/metrics.json",
        "report/report.html",
        "report/verdict.json",
    }
    assert store.client.list_artifacts(result.mlflow_run_id, "images")


def test_the_report_of_other_graphs_is_refused(tiny: Any, store: Tracking) -> None:
    with pytest.raises(ArtifactError, match="other graphs"):
        promote(tiny("vae").bundle, tiny("gan").report, "mixed", automatic=True, tracking=store)
    assert not store.client.search_registered_models("name = 'mixed'")


def test_a_model_without_champion_cannot_be_rolled_back(promoted: Promote, store: Tracking) -> None:
    with pytest.raises(TrackingError, match="no champion"):
        rollback("never-heard-of", None, store)
    assert find_champion("never-heard-of", Path("nowhere"), store) is None


def test_a_run_is_found_again_by_its_tag_and_apart_from_others(store: Tracking) -> None:
    first = store.run_for("runs", "a")
    assert store.run_for("runs", "a") == first
    assert store.run_for("runs", "b") != first
    assert store.run_for("runs", "") != store.run_for("runs", "")


def test_an_unreachable_server_is_one_clear_error_within_seconds(
    monkeypatch: pytest.MonkeyPatch, store: Tracking
) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    started = time.monotonic()
    try:
        with pytest.raises(TrackingError, match=r"127\.0\.0\.1:9") as raised:
            Tracking("http://127.0.0.1:9").run_for("model", "run")
    finally:
        mlflow.set_tracking_uri(store.uri)
        mlflow.set_registry_uri(store.uri)
    assert time.monotonic() - started < 15
    assert "\n" not in raised.value.message
    assert "MLFLOW_TRACKING_URI" in raised.value.remedy
