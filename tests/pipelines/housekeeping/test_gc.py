"""``ganvas gc`` on directories, an S3 server and an MLflow store that are there."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from components.artifacts import alone_in
from components.storage import open_storage
from components.tracking import PREVIOUS_CHAMPION_TAG, VERDICT_TAG, Tracking
from pipelines.housekeeping.stored import checkpoint_items, remove_checkpoints
from pipelines.local import LOCK_NAME, LOG_NAME
from tests.pipelines.commands import Ganvas, Said, assert_one_error

ALL = ("--keep", "0", "--older-than", "0d", "--json")


def run_of(root: Path, name: str, days: float) -> Path:
    directory = root / name
    (directory / "bundle").mkdir(parents=True)
    (directory / "bundle" / "generator.onnx").write_bytes(b"x" * 1000)
    (directory / LOG_NAME).write_text("log")
    then = time.time() - days * 86400
    for path in (directory / "bundle" / "generator.onnx", directory / LOG_NAME):
        os.utime(path, (then, then))
    return directory


@pytest.fixture
def runs(ganvas: Ganvas) -> Path:
    """Five runs of two recipes, the newest of them ``latest``; something that is no run; a cache."""
    root = Path.cwd() / "runs"
    for days, name in enumerate(("20260104", "20260103", "20260102", "20260101")):
        run_of(root, f"digits-gan-{name}-120000", 40 + days)
    run_of(root, "ring-gan-20260101-120000", 90)
    (root / "latest").symlink_to("ring-gan-20260101-120000")
    (root / "mine").mkdir()
    (root / "mine" / "notes.txt").write_text("keep me")
    cached = root / ".cache" / "features" / "0123.npz"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"y" * 500)
    then = time.time() - 50 * 86400
    os.utime(cached, (then, then))
    return root


def document(said: Said) -> dict[str, Any]:
    assert said.code == 0, said.err
    told: dict[str, Any] = json.loads(said.out)
    return told


def names(root: Path) -> set[str]:
    return {path.name for path in root.iterdir()}


def test_the_newest_of_each_recipe_stay(ganvas: Ganvas, runs: Path) -> None:
    told = document(ganvas("gc", "--keep", "2", "--json"))
    assert names(runs) == {
        "digits-gan-20260104-120000",
        "digits-gan-20260103-120000",
        "ring-gan-20260101-120000",
        "latest",
        "mine",
        ".cache",
    }
    assert told["freed_bytes"] == 2 * 1003 + 500
    assert not list((runs / ".cache").glob("*/*")), "what only saves time goes by its age alone"
    assert document(ganvas("gc", "--keep", "2", "--json"))["removed"] == []


def test_a_dry_run_says_the_same_and_removes_nothing(ganvas: Ganvas, runs: Path) -> None:
    before = {path: path.stat().st_mtime for path in runs.rglob("*")}
    dry = document(ganvas("gc", *ALL, "--dry-run"))
    assert dry["dry_run"] is True
    assert {path: path.stat().st_mtime for path in runs.rglob("*")} == before
    wet = document(ganvas("gc", *ALL))
    assert dry["removed"] == wet["removed"]
    assert len(wet["removed"]) == 5
    assert names(runs) == {"ring-gan-20260101-120000", "latest", "mine", ".cache"}
    assert "Removed nothing" in ganvas("gc", "--keep", "0", "--older-than", "0d").err


def test_what_is_going_on_stays_and_what_was_killed_does_not(ganvas: Ganvas, runs: Path) -> None:
    going, killed = runs / "digits-gan-20260101-120000", runs / "digits-gan-20260102-120000"
    (killed / LOCK_NAME).touch()
    with alone_in(going, LOCK_NAME):
        told = document(ganvas("gc", *ALL))
    assert {kept["reason"] for kept in told["kept"] if kept["name"] == str(Path("runs") / going.name)} == {"going on"}
    assert going.is_dir()
    assert not killed.exists()


def test_what_cannot_be_removed_is_said_and_the_rest_goes(
    ganvas: Ganvas, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    stuck, remove = runs / "digits-gan-20260104-120000", shutil.rmtree

    def rmtree(path: Path, *arguments: Any, **named: Any) -> None:
        if stuck.name in str(path):
            raise PermissionError(1, "Operation not permitted")
        remove(path, *arguments, **named)

    monkeypatch.setattr(shutil, "rmtree", rmtree)  # a root user's tests are refused nothing
    said = ganvas("gc", *ALL)
    assert said.code == 1
    told = json.loads(said.out)
    assert len(told["errors"]) == 1
    assert stuck.name in told["errors"][0]
    assert stuck.is_dir()
    assert len(told["removed"]) == 4
    assert not (runs / "digits-gan-20260101-120000").exists()


def test_no_runs_are_no_error_and_no_store_is_made(ganvas: Ganvas) -> None:
    assert document(ganvas("gc", *ALL))["removed"] == []
    assert not Path("runs").exists()
    assert_one_error(ganvas("gc", "--older-than", "soon"), 2, "--older-than", "soon")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from tests.components.storage.server import CREDENTIALS, client, running_s3

    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with running_s3() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        direct = client(url)
        direct.create_bucket(Bucket="training")
        for key in ("one/000000000640", "one/000000001280", "two/000000000640"):
            for file in ("weights.safetensors", "checkpoint.json"):
                direct.put_object(Bucket="training", Key=f"checkpoints/{key}/{file}", Body=b"z" * 100)
        direct.put_object(Bucket="training", Key="elsewhere/file", Body=b"z")
        yield direct


def keys(bucket: Any) -> set[str]:
    return {entry["Key"] for entry in bucket.list_objects_v2(Bucket="training").get("Contents", [])}


def test_checkpoints_go_training_by_training(bucket: Any) -> None:
    storage = open_storage("s3://training/checkpoints")
    now = datetime.now(UTC)
    found = list(checkpoint_items(storage, now + timedelta(days=2)))
    assert [(item.name, item.size_bytes, item.protected) for item in found] == [("one", 400, ""), ("two", 200, "")]
    remove_checkpoints(storage, "one")
    assert keys(bucket) == {
        "checkpoints/two/000000000640/checkpoint.json",
        "checkpoints/two/000000000640/weights.safetensors",
        "elsewhere/file",
    }
    remove_checkpoints(storage, "one")  # again is as good


def test_a_training_that_may_be_going_on_keeps_its_checkpoints(ganvas: Ganvas, bucket: Any) -> None:
    before = keys(bucket)
    told = document(ganvas("gc", *ALL, "--checkpoint-uri", "s3://training/checkpoints"))
    assert {kept["reason"] for kept in told["kept"]} == {"going on"}
    assert keys(bucket) == before


def test_a_bucket_that_is_not_there_is_said_and_the_rest_goes(ganvas: Ganvas, runs: Path, bucket: Any) -> None:
    said = ganvas("gc", *ALL, "--checkpoint-uri", "s3://absent/checkpoints")
    assert said.code == 1
    assert "absent" in said.err
    assert len(json.loads(said.out)["removed"]) == 5


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_store: Callable[[Path], str]) -> Tracking:
    """Six versions of rings: 1 replaced, 2 and 6 rejected, 3 rejected and champion, 4 passed, 5 no verdict."""
    uri = new_store(tmp_path / "store" / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    store = Tracking(uri)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "generator.onnx").write_bytes(b"m" * 700)
    run_id = store.run_for("rings", "run-1")
    experiment_id = store.client.get_run(run_id).info.experiment_id
    store.client.create_registered_model("rings")
    for verdict in ("failed", "failed", "failed", "passed", "", "failed"):
        model = store.client.create_logged_model(experiment_id, name="rings", source_run_id=run_id)
        store.client.log_model_artifacts(model.model_id, str(tmp_path / "model"))
        store.client.finalize_logged_model(model.model_id, "READY")
        tags = {VERDICT_TAG: verdict} if verdict else {}
        store.client.create_model_version(
            "rings", source=f"models:/{model.model_id}", run_id=run_id, tags=tags, model_id=model.model_id
        )
    store.tag_version("rings", "4", PREVIOUS_CHAMPION_TAG, "1")
    store.set_alias("rings", "champion", "3")
    return store


def files(store: Tracking) -> int:
    root = Path(store.uri.removeprefix("sqlite:///")).parent
    return len(list(root.rglob("generator.onnx")))


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_only_rejected_versions_go_and_never_one_that_is_needed(
    ganvas: Ganvas, registry: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert files(registry) == 6
    measured: list[str] = []
    ask = Tracking.size_bytes
    monkeypatch.setattr(
        Tracking, "size_bytes", lambda store, name, version: measured.append(version) or ask(store, name, version)
    )
    planned = document(ganvas("gc", "--keep", "1", "--older-than", "0d", "--dry-run", "--json"))
    assert [(item["name"], item["size_bytes"]) for item in planned["removed"]] == [("2", 700)]
    assert {item["name"]: item["size_bytes"] for item in planned["kept"]} == {"1": None, "3": None, "6": None}
    assert measured == ["2"]  # the only one that would go
    told = document(ganvas("gc", *ALL))
    assert [(item["group"], item["name"], item["size_bytes"]) for item in told["removed"]] == [
        ("rings", "2", 700),
        ("rings", "6", 700),
    ]
    assert {kept["name"]: kept["reason"] for kept in told["kept"]} == {
        "1": "a champion that was replaced",
        "3": "its champion",
    }
    assert {version.version for version in registry.versions("rings")} == {"1", "3", "4", "5"}
    assert files(registry) == 4
    assert registry.alias_version("rings", "champion") == "3"
    assert document(ganvas("gc", *ALL))["removed"] == []


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_version_that_was_copied_to_another_name_keeps_its_artifacts(ganvas: Ganvas, registry: Tracking) -> None:
    registry.client.copy_model_version("models:/rings/2", "rings-in-production")
    registry.client.copy_model_version("models:/rings/6", "rings-elsewhere")
    told = document(ganvas("gc", *ALL))
    assert told["removed"] == []
    reasons = {(kept["group"], kept["name"]): kept["reason"] for kept in told["kept"]}
    assert reasons["rings", "2"] == "rings-in-production/1 loads its artifacts"
    assert reasons["rings-elsewhere", "1"] == "rings/6 loads its artifacts"
    assert files(registry) == 6


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_an_alias_that_came_in_between_is_respected(ganvas: Ganvas, registry: Tracking) -> None:
    from models.errors import ArtifactError

    registry.set_alias("rings", "canary", "2")
    with pytest.raises(ArtifactError, match="canary by now"):
        registry.remove_version("rings", "2")
    assert files(registry) == 6
