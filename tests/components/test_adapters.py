"""What the KFP adapters do beside calling one core function, asked of the functions that a task runs."""

from __future__ import annotations

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


@pytest.mark.parametrize("adapter", ["listing", "evaluate", "promote"])
def test_a_store_that_would_vanish_with_the_pod_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], adapter: str
) -> None:
    from components.evaluate.component import evaluate_model
    from components.promote.component import promote_model

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    one = artifact(tmp_path / "any")
    judging = {"gate": "{}", "recipe_name": "r", "model_name": "m", "dataset": one, "extractor": one, "bundle": one}
    judging |= {"report": one, "page": one, "verdict": one, "metrics": one}
    promotion = {"model_name": "m", "automatic_promotion": True, "pipeline_run_id": "r", "checkpoint": one}
    promotion |= {"bundle": one, "report": one, "promotion": one}
    run = {
        "listing": lambda: listed(tmp_path),
        "evaluate": lambda: evaluate_model.python_func(**judging),
        "promote": lambda: promote_model.python_func(**promotion),
    }[adapter]
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "MLFLOW_TRACKING_URI" in said
    assert "--tracking-uri" in said
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_named_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.mlflow:5000")
    assert listed(tmp_path).model_name == "ring-gan"


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
    train_model.python_func(recipe, dataset=one, checkpoint=one)
    assert given.pop("cluster").image == "pipeline@sha256:1"
    assert given == {
        "checkpoint_uri": "s3://b/p",
        "model_name": "rings",
        "pipeline_run_id": "run-7",
        "dataset_uri": "minio://pipelines/data",
    }
