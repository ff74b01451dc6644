"""The store as a server: with users and passwords, artifacts through it or past it, in the engine's run or its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.conclude.core import ENDED_BY_TAG, conclude
from components.promote.core import promote
from components.tracking import RUN_TAG, Tracking
from models.errors import TrackingError
from tests.components.tracking.conftest import PASSWORD, USER, Served

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning"
    ),  # mlflow's
    pytest.mark.timeout(400),
]


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)


def promoted(tiny: Any, tmp_path: Path, store: Tracking, name: str, run_id: str) -> Any:
    """The rings, registered with the verdict "passed"."""
    report = tmp_path / "report"
    shutil.copytree(tiny("ring").report, report)
    verdict = json.loads((report / "verdict.json").read_text())
    (report / "verdict.json").write_text(json.dumps(verdict | {"passed": True, "non_inferior": True}))
    bundle, checkpoint = tiny("ring").bundle, tiny("ring").checkpoint
    return promote(bundle, report, name, automatic=True, pipeline_run_id=run_id, checkpoint=checkpoint, tracking=store)


def assert_same_files(one: Path, other: Path) -> None:
    assert {path.name: path.read_bytes() for path in one.iterdir()} == {
        path.name: path.read_bytes() for path in other.iterdir()
    }


def test_a_version_goes_through_a_server_that_wants_a_password(
    tiny: Any, proxied: Served, user: None, tmp_path: Path
) -> None:
    store = Tracking(proxied.uri)
    result = promoted(tiny, tmp_path, store, "rings", "run-1")
    assert store.alias_version("rings", "champion") == result.version == "1"
    assert_same_files(store.download("rings", "1", tmp_path / "back"), tiny("ring").bundle)
    assert any(key.endswith("bundle/signature.json") for key in proxied.objects())
    assert PASSWORD not in str(store.client.get_run(result.mlflow_run_id).to_dictionary())
    page = httpx.get(store.page_of(result.mlflow_run_id), auth=(USER, PASSWORD), trust_env=False)
    assert page.status_code == 200
    assert store.size_bytes("rings", "1") > sum(path.stat().st_size for path in tiny("ring").bundle.iterdir())
    store.delete_alias("rings", "champion")
    store.remove_version("rings", "1")
    assert not any("bundle/" in key for key in proxied.objects())


@pytest.mark.parametrize("password", ["wrong", ""])
def test_a_wrong_password_is_one_line(proxied: Served, monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    if password:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
    with pytest.raises(TrackingError) as refused:
        Tracking(proxied.uri).alias_version("rings", "champion")
    said = str(refused.value)
    assert "\n" not in said
    assert "user and password (401)" in said
    assert "MLFLOW_TRACKING_PASSWORD" in said
    assert proxied.uri in said


def test_a_user_who_may_not_write_is_told_so(proxied: Served, user: None, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Tracking(proxied.uri)
    run_id = store.run_for("guarded", "run-1")
    made = httpx.post(
        f"{proxied.uri}/api/2.0/mlflow/users/create",
        json={"username": "reader", "password": "a reader's password"},
        auth=(USER, PASSWORD),
        trust_env=False,
    )
    assert made.status_code == 200, made.text
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "reader")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "a reader's password")
    with pytest.raises(TrackingError, match=r"does not allow this user to do that \(403\)"):
        Tracking(proxied.uri).log_settings(run_id, {"a": 1}, {})


def test_a_name_that_the_server_does_not_answer_to_is_explained(proxied: Served, user: None) -> None:
    with pytest.raises(TrackingError, match="--allowed-hosts"):
        Tracking(proxied.uri.replace("127.0.0.1", "localhost")).alias_version("rings", "champion")


def test_a_password_in_the_address_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError) as refused:
        Tracking("http://me:s3cret@127.0.0.1:9").alias_version("rings", "champion")
    assert "s3cret" not in str(refused.value)
    assert "No MLflow server answers at http://me:***@127.0.0.1:9" in str(refused.value)


def test_artifacts_go_past_the_server_into_the_bucket(tiny: Any, direct: Served, s3: str, tmp_path: Path) -> None:
    store = Tracking(direct.uri)
    promoted(tiny, tmp_path, store, "rings", "run-1")
    assert_same_files(store.download("rings", "1", tmp_path / "back"), tiny("ring").bundle)
    assert any(key.endswith("bundle/signature.json") for key in direct.objects())
    assert httpx.get(f"{direct.uri}/api/2.0/mlflow-artifacts/artifacts", trust_env=False).status_code >= 400


def test_all_steps_take_the_engines_run_of_the_whole_pipeline(
    direct: Served, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine gives each task a run of its own, nested in the pipeline's, and ends them all itself."""
    store = Tracking(direct.uri)
    whole = store.client.create_run("0").info.run_id
    tasks = [store.client.create_run("0", tags={"mlflow.parentRunId": whole}).info.run_id for _ in ("train", "promote")]
    monkeypatch.setenv("GANVAS_RUN_URL", "http://kfp/#/runs/details/{run_id}")
    for task in tasks:
        monkeypatch.setenv("MLFLOW_RUN_ID", task)
        monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
        assert store.run_for("rings", "run-7") == whole
        store.finish_run(whole, passed=False)
    found = store.client.get_run(whole)
    assert found.info.status == "RUNNING"
    assert found.data.tags[RUN_TAG] == "run-7"
    assert found.data.tags["ganvas.pipeline_run_url"] == "http://kfp/#/runs/details/run-7"
    assert store.client.get_experiment_by_name("ganvas/rings-of-the-engine") is None


def test_a_run_that_a_step_left_open_is_ended_and_told_why(direct: Served, s3: str) -> None:
    store = Tracking(direct.uri)
    left, other = store.run_for("open", "run-8"), store.run_for("open", "run-9")
    renamed = store.run_for("open-renamed", "run-8")
    said = conclude("run-8", "FAILED", "train-model: no memory", store)
    assert left in said and renamed in said
    for run_id in (left, renamed):
        ended = store.client.get_run(run_id)
        assert ended.info.status == "FAILED"
        assert ended.data.tags[ENDED_BY_TAG] == "FAILED: train-model: no memory"
    assert store.client.get_run(other).info.status == "RUNNING"
    assert conclude("run-9", "CANCELLED", "", store).endswith("KILLED.")
    assert store.client.get_run(other).info.status == "KILLED"


@pytest.mark.parametrize(("state", "end"), [("SUCCEEDED", "FINISHED"), ("RUNNING", "FAILED")])
def test_what_was_left_open_ends_as_the_engine_says(direct: Served, s3: str, state: str, end: str) -> None:
    store = Tracking(direct.uri)
    opened = store.run_for("open", f"run-{state}")
    conclude(f"run-{state}", state, "", store)
    assert store.client.get_run(opened).info.status == end


@pytest.mark.parametrize("passed", [True, False])
def test_a_run_that_promotion_ended_stays_as_it_is(direct: Served, s3: str, passed: bool) -> None:
    store = Tracking(direct.uri)
    run_id = store.run_for("ended", f"run-{passed}")
    store.finish_run(run_id, passed=passed)
    before = store.client.get_run(run_id).to_dictionary()
    assert conclude(f"run-{passed}", "FAILED", "the gate said no", store) == "No MLflow run was left open."
    assert store.client.get_run(run_id).to_dictionary() == before


def test_the_end_of_a_run_waits_for_no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no MLflow server" in conclude("run-1", "FAILED", "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert "stays as it is" in conclude("run-1", "FAILED", "")
