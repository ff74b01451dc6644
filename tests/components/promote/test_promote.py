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
from components.evaluate.documents import METRICS_NAME, VERDICT_NAME
from components.promote.core import Promotion, promote, rollback
from components.tracking import RUN_TAG, Tracking
from models.errors import ArtifactError, TrackingError
from models.latents import standard_normal_latents

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # mlflow's own
Promote = Callable[..., Promotion]


@pytest.fixture
def report(tiny: Any, tmp_path: Path) -> Callable[..., Path]:
    """A Report of the tiny GAN with the verdict that a test needs, reached while ``seen`` was the champion."""

    def make(*, passed: bool = True, non_inferior: bool = True, seen: str | None = None) -> Path:
        copy = tmp_path / f"report-{passed}-{non_inferior}-{seen}"
        if not copy.exists():
            shutil.copytree(tiny("gan").report, copy)
            document = json.loads((copy / VERDICT_NAME).read_text())
            document |= {"passed": passed, "non_inferior": non_inferior}
            for check in document["checks"]:
                check["passed"] = passed or check["name"] != "frechet_distance"
            (copy / VERDICT_NAME).write_text(json.dumps(document))
            metrics = json.loads((copy / METRICS_NAME).read_text())
            (copy / METRICS_NAME).write_text(json.dumps(metrics | {"champion_seen": seen}))
        return copy

    return make


@pytest.fixture
def promoted(tiny: Any, report: Callable[..., Path], store: Tracking) -> Promote:
    def run(name: str, run_id: str = "", *, automatic: bool = True, **verdict: Any) -> Promotion:
        return promote(
            tiny("gan").bundle,
            report(**{"seen": store.alias_version(name, "champion"), **verdict}),
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


def test_a_champion_that_the_verdict_was_not_reached_against_stays(promoted: Promote, store: Tracking) -> None:
    promoted("raced", "run-1")
    # Two runs at once: the second one's evaluation saw what served before the first one's promotion.
    second = promoted("raced", "run-2", seen=None)
    assert second.decision.passed
    assert "not compared with version 1" in second.decision.reason
    assert aliases(store, "raced") == {"champion": "1", "challenger": second.version}
    third = promoted("raced", "run-3")  # this one saw version 1
    assert aliases(store, "raced")["champion"] == third.version
    store.set_alias("raced", "champion", "2")  # a person moves it after the next evaluation
    fourth = promoted("raced", "run-4", seen=third.version)
    assert aliases(store, "raced") == {"champion": "2", "challenger": fourth.version}


@pytest.mark.parametrize("tag", ["ganvas.dataset_name", "ganvas.extractor_sha256"])
def test_a_champion_that_cannot_be_compared_with_is_no_obstacle(promoted: Promote, store: Tracking, tag: str) -> None:
    name = f"incomparable-{tag[7:14]}"
    promoted(name, "run-1")
    store.tag_version(name, "1", tag, "another")
    assert promoted(name, "run-2", seen=None).decision.alias == "champion"


def test_a_champion_that_was_seen_and_could_not_be_scored_is_no_obstacle(promoted: Promote, store: Tracking) -> None:
    promoted("unscored", "run-1")
    assert promoted("unscored", "run-2", seen="1").decision.alias == "champion"


def test_a_champion_without_a_bundle_is_found_with_its_defect(
    promoted: Promote, store: Tracking, tmp_path: Path
) -> None:
    """As where a person logs an ONNX model by mlflow and gives it the alias."""
    promoted("by-hand", "run-1")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_text("flavors: {}\n")
    experiment = store.client.get_experiment_by_name("ganvas/by-hand").experiment_id
    logged = store.client.create_logged_model(experiment, name="by-hand")
    store.client.log_model_artifacts(logged.model_id, str(tmp_path / "model"))
    store.client.finalize_logged_model(logged.model_id, "READY")
    store.client.create_model_version("by-hand", source=f"models:/{logged.model_id}", model_id=logged.model_id)
    store.set_alias("by-hand", "champion", "2")
    champion = find_champion("by-hand", tmp_path / "download", store)
    assert champion is not None
    assert champion.version == "2"
    assert "no bundle" in champion.defect


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


@pytest.mark.parametrize("told_live", [True, False])
def test_curves_are_told_once_and_those_of_a_cached_training_too(
    promoted: Promote, store: Tracking, tiny: Any, tmp_path: Path, told_live: bool
) -> None:
    """The lineage names the MLflow run that training told: this one's, or that of the run it was cached from."""
    name = f"live-{told_live}"
    own, other = store.run_for(name, "run-2"), store.run_for(name, "run-1")
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny("gan").bundle, bundle)
    document = json.loads((bundle / "signature.json").read_text())
    document["lineage"]["mlflow_run_id"] = own if told_live else other
    (bundle / "signature.json").write_text(json.dumps(document))
    result = promote(bundle, tiny("gan").report, name, automatic=True, pipeline_run_id="run-2", tracking=store)
    assert result.mlflow_run_id == own
    assert bool(store.client.get_metric_history(own, "train/discriminator_loss")) is not told_live


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
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    started = time.monotonic()
    with pytest.raises(TrackingError, match=r"127\.0\.0\.1:9") as raised:
        Tracking("http://127.0.0.1:9").run_for("model", "run")
    assert time.monotonic() - started < 15
    assert "\n" not in raised.value.message
    assert "MLFLOW_TRACKING_URI" in raised.value.remedy
