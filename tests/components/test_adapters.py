"""What the KFP adapters do beside calling one core function, asked of the functions that a task runs."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.recipe import parse_recipe
from pipelines.recipes import recipe_by_name

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # kfp's own


def artifact(path: Path) -> SimpleNamespace:
    return SimpleNamespace(path=str(path), uri="minio://pipelines/data", metadata={})


def listed(tmp_path: Path, **changes: Any) -> Any:
    from components.listing.component import list_source

    recipe = recipe_by_name("ring-gan")
    arguments: dict[str, Any] = {
        "recipe": recipe.model_dump_json(),
        "data_source": recipe.data.source,
        "seed": recipe.seed,
        "images_seen": recipe.training.images_seen,
        "gate_limits": {},
        "model_name": "",
        "automatic_promotion": True,
        "nodes": 1,
        "accelerator_count": 0,
        "accelerator_type": "nvidia.com/gpu",
        "training_cpus": "2",
        "training_memory": "8Gi",
        "tolerations": [],
        "node_selector": {},
        "overrides": {},
        "registers": True,
    }
    return list_source.python_func(**{**arguments, **changes}, resolved_recipe=artifact(tmp_path / "recipe.json"))


@pytest.mark.parametrize(("gpus", "processes"), [(0, 1), (1, 1), (4, 4)])
def test_training_has_a_process_for_every_gpu_that_was_asked_for(tmp_path: Path, gpus: int, processes: int) -> None:
    training = parse_recipe(listed(tmp_path, accelerator_count=gpus).training)
    assert training.resources.processes_per_node == processes


def test_without_gpus_the_recipes_own_number_of_processes_holds(tmp_path: Path) -> None:
    changed = listed(tmp_path, overrides={"resources.processes_per_node": 2})
    assert parse_recipe(changed.training).resources.processes_per_node == 2


def test_another_number_of_processes_than_gpus_is_a_conflict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        listed(tmp_path, accelerator_count=4, overrides={"resources.processes_per_node": 2})
    assert "given twice: 4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("nodes", "sizes"), [(1, ("4", "2", "8Gi")), (2, ("0", "500m", "2Gi"))], ids=["trains itself", "only watches"]
)
def test_the_training_pod_asks_for_what_it_needs_itself(tmp_path: Path, nodes: int, sizes: tuple[str, ...]) -> None:
    given = listed(tmp_path, accelerator_count=4, nodes=nodes, accelerator_type="amd.com/gpu")
    assert (given.accelerators, given.cpus, given.memory) == sizes
    assert given.accelerator_type == "amd.com/gpu"
    further = json.loads(given.machines or "{}")
    assert further.get("accelerator_type", "none") == ("amd.com/gpu" if nodes > 1 else "none")
    resources = parse_recipe(given.training).resources
    assert (resources.nodes, resources.processes_per_node, resources.accelerators_per_node) == (nodes, 4, 4)


def test_further_machines_are_asked_for_what_the_run_says(tmp_path: Path) -> None:
    """The engine carries every number as a double, and Kubernetes refuses 300.0 seconds."""
    taint = {"key": "pool", "operator": "Exists", "tolerationSeconds": 300.0}
    sizes = {"training_cpus": "16", "training_memory": "64Gi"}
    given = listed(tmp_path, nodes=2, tolerations=[taint], node_selector={"pool": "a100"}, **sizes)
    assert json.loads(given.machines) == {
        "cpus": "16",
        "memory": "64Gi",
        "accelerator_type": "nvidia.com/gpu",
        "node_selector": {"pool": "a100"},
        "tolerations": [{**taint, "tolerationSeconds": 300}],
    }
    assert "300.0" not in given.machines


def test_a_toleration_that_kubernetes_does_not_know_is_refused_at_the_first_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        listed(tmp_path, nodes=2, tolerations=[{"taint": "pool"}])
    assert ended.value.code == 2
    assert "tolerations.0.taint" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [{"training_memory": "plenty"}, {"training_cpus": "4 cores"}])
def test_a_size_that_is_no_quantity_is_refused_at_the_first_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: dict[str, str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        listed(tmp_path, **wrong)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert all(name in said and value in said for name, value in wrong.items())


@pytest.mark.parametrize(("named", "warns"), [("", True), ("http://mlflow.mlflow:5000", False)])
def test_a_pod_without_a_store_is_told_what_that_means_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], named: str, warns: bool
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    if named:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", named)
    assert listed(tmp_path).model_name == "ring-gan"
    assert ("--tracking-uri" in capsys.readouterr().err) is warns


@pytest.mark.filterwarnings("ignore::UserWarning")  # mlflow's own
def test_without_a_server_the_store_is_an_artifact_of_the_run(
    tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from components.promote.component import promote_model
    from components.tracking import Tracking

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    run, promotion, store = tiny("ring"), artifact(tmp_path / "promotion"), artifact(tmp_path / "store")
    inputs = {"checkpoint": artifact(run.checkpoint), "bundle": artifact(run.bundle), "report": artifact(run.report)}
    passed = json.loads((run.report / "verdict.json").read_text())["passed"]
    with contextlib.nullcontext() if passed else pytest.raises(SystemExit):
        promote_model.python_func("rings", True, "run-7", **inputs, promotion=promotion, store=store)
    assert "nothing serves" in capsys.readouterr().err
    assert "nothing serves" in (tmp_path / "promotion").read_text()
    kept = Tracking(f"sqlite:///{tmp_path / 'store' / 'mlflow.db'}")
    assert kept.version_tags("rings", "1")["ganvas.pipeline_run_id"] == "run-7"
    assert kept.client.get_run(promotion.metadata["mlflow_run_id"]).data.tags["ganvas.pipeline_run_id"] == "run-7"
    assert kept.download("rings", "1", tmp_path / "again").is_dir()
    assert not (tmp_path / "runs").exists()


def test_training_hands_on_what_its_environment_says_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import components.launch
    from components.train.component import train_model

    given: dict[str, Any] = {}

    def launch(*arguments: Any, **named: Any) -> SimpleNamespace:
        given.update(named)
        return SimpleNamespace(images_seen=1, weights_sha256="")

    monkeypatch.setattr(components.launch, "launch_training", launch)
    recipe, one = recipe_by_name("ring-gan").model_dump_json(), artifact(tmp_path / "any")
    train_model.python_func(recipe, dataset=one, checkpoint=one)
    plain = {"dataset_uri": "minio://pipelines/data", "cluster": None}
    assert given == {"checkpoint_uri": "", "model_name": "", "pipeline_run_id": "", **plain}
    monkeypatch.setenv("GANVAS_MODEL_NAME", "rings")
    monkeypatch.setenv("GANVAS_PIPELINE_RUN_ID", "run-7")
    monkeypatch.setenv("GANVAS_CHECKPOINT_URI", "s3://b/p")
    monkeypatch.setenv("GANVAS_CLUSTER", '{"image": "pipeline@sha256:1"}')
    train_model.python_func(recipe, dataset=one, checkpoint=one, machines='{"memory": "64Gi"}')
    cluster = given.pop("cluster")
    assert (cluster.image, cluster.machines.memory) == ("pipeline@sha256:1", "64Gi")
    assert given == {
        "checkpoint_uri": "s3://b/p",
        "model_name": "rings",
        "pipeline_run_id": "run-7",
        "dataset_uri": "minio://pipelines/data",
    }


def test_the_end_is_told_in_the_engines_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import components.conclude.core
    from components.conclude.component import conclude_run

    told: list[tuple[str, ...]] = []
    monkeypatch.setattr(components.conclude.core, "conclude", lambda *words: told.append(words) or "told")
    for message in ("no memory", None):
        status = SimpleNamespace(state="FAILED", error_message=message)
        conclude_run.python_func("run-7", status)
        assert "There is no cluster, so no TrainJob was left on one. told" in capsys.readouterr().err
    assert told == [("run-7", "FAILED", "no memory"), ("run-7", "FAILED", "")]
