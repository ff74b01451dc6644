"""The compiled graph: the same for every recipe, explained, cached where that is sound.

After a change of the graph: ``python -m tests.pipelines.test_graph`` writes the golden file again.
"""

from __future__ import annotations

import difflib
import inspect
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.recipe import parse_recipe
from models.errors import ConfigurationError
from pipelines.recipes import RECIPES, recipe_by_name
from pipelines.stages import STAGES

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "train-and-promote.yaml"
IMAGE = "registry.example/ganvas@sha256:" + "0" * 64
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # kfp's own


@cache
def compiled(name: str) -> str:
    import tempfile

    from pipelines.compile import compile_to

    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory) / "graph.yaml"
        compile_to(recipe_by_name(name), IMAGE, output)
        return output.read_text()


def documents(text: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(text) if document]


def graph(name: str = "digits-gan") -> dict[str, Any]:
    return documents(compiled(name))[0]


def tasks_of(compiled_graph: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every task that runs something, those within loops among them."""
    found: dict[str, dict[str, Any]] = {}
    for part in (compiled_graph["root"], *compiled_graph["components"].values()):
        found |= part.get("dag", {}).get("tasks", {})
    return {name: task for name, task in found.items() if not name.startswith("for-loop")}


def executors() -> dict[str, dict[str, Any]]:
    return {name: entry["container"] for name, entry in graph()["deploymentSpec"]["executors"].items()}


def without_defaults(text: str) -> list[dict[str, Any]]:
    """The graph without what a recipe decides: the parameters' defaults, and the name that live curves go by."""
    parts = documents(text)
    for executor in parts[0]["deploymentSpec"]["executors"].values():
        for variable in executor["container"].get("env", []):
            if variable["name"] == "GANVAS_MODEL_NAME":
                del variable["value"]
    for parameter in parts[0]["root"]["inputDefinitions"]["parameters"].values():
        parameter.pop("defaultValue", None)
    return parts


def test_the_graph_is_the_committed_one() -> None:
    golden, now = without_defaults(GOLDEN.read_text()), without_defaults(compiled("digits-gan"))
    lines = [yaml.safe_dump_all(parts).splitlines() for parts in (golden, now)]
    changes = difflib.unified_diff(*lines, "golden", "now", lineterm="")
    assert golden == now, "run python -m tests.pipelines.test_graph\n" + "\n".join(list(changes)[:40])


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "digits-gan"])
def test_every_recipe_is_this_graph_with_other_defaults(name: str) -> None:
    assert without_defaults(compiled(name)) == without_defaults(compiled("digits-gan"))
    defaults = graph(name)["root"]["inputDefinitions"]["parameters"]
    assert parse_recipe(defaults["recipe_json"]["defaultValue"]) == recipe_by_name(name)
    assert defaults["images_seen"]["defaultValue"] == recipe_by_name(name).training.images_seen


def test_what_reads_the_world_is_never_cached_and_the_rest_is() -> None:
    cached = {
        name: bool(task.get("cachingOptions", {}).get("enableCache", False)) for name, task in tasks_of(graph()).items()
    }
    assert cached == {
        "list-source": False,
        "read-source": True,
        "prepare-data": True,
        "train-model": True,
        "fit-feature-extractor": True,
        "export-model": False,
        "evaluate-model": False,
        "promote-model": False,
    }


def test_a_cached_steps_key_names_no_run() -> None:
    """The engine puts the run's id in the place of its placeholder first, and then asks its cache for the inputs."""
    tasks = tasks_of(graph())
    cached = {name: task["inputs"] for name, task in tasks.items() if task["cachingOptions"].get("enableCache")}
    assert cached.keys() == {"read-source", "prepare-data", "train-model", "fit-feature-extractor"}
    for name, inputs in cached.items():
        assert "pipeline_job_uuid" not in str(inputs), name
        assert not {"model_name", "pipeline_run_id"} & inputs["parameters"].keys(), name
    decides = {name for name in cached["train-model"]["parameters"] if "accelerator_" not in name}
    assert decides == {"training"}  # and the GPUs that it asks for


def test_training_is_told_for_which_run_it_works_by_its_environment() -> None:
    platform = documents(compiled("digits-gan"))[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert platform["exec-train-model"]["fieldPathAsEnv"] == [
        {"name": "GANVAS_PIPELINE_RUN_ID", "fieldPath": "metadata.labels['pipeline/runid']"}
    ]
    assert variables(graph())["exec-train-model"] == {"GANVAS_MODEL_NAME": "digits-gan"}


def variables(compiled_graph: dict[str, Any]) -> dict[str, dict[str, str]]:
    executors = compiled_graph["deploymentSpec"]["executors"]
    return {
        name: {entry["name"]: entry["value"] for entry in executor["container"].get("env", [])}
        for name, executor in executors.items()
    }


def test_a_run_whose_id_is_known_tells_every_step_the_same(tmp_path: Path) -> None:
    from kfp import compiler

    from pipelines.graph import build_pipeline

    pipeline = build_pipeline(recipe_by_name("digits-gan"), run_id="run-7")
    compiler.Compiler().compile(pipeline, str(tmp_path / "graph.yaml"))
    text = (tmp_path / "graph.yaml").read_text()
    assert "pipeline_job_uuid" not in text
    assert variables(documents(text)[0])["exec-train-model"]["GANVAS_PIPELINE_RUN_ID"] == "run-7"
    tasks = documents(text)[0]["root"]["dag"]["tasks"]
    for name in ("export-model", "promote-model"):
        given = tasks[name]["inputs"]["parameters"]["pipeline_run_id"]
        assert given["runtimeValue"]["constant"] == "run-7"


def test_the_store_is_told_to_every_step_that_asks_it(tmp_path: Path) -> None:
    from pipelines.compile import compile_to

    uri = "http://mlflow.mlflow:5000"
    compile_to(recipe_by_name("digits-gan"), IMAGE, tmp_path / "graph.yaml", tracking_uri=uri)
    told = variables(documents((tmp_path / "graph.yaml").read_text())[0])
    assert {name for name, given in told.items() if given.get("MLFLOW_TRACKING_URI") == uri} == {
        "exec-list-source",
        "exec-train-model",
        "exec-evaluate-model",
        "exec-promote-model",
    }
    assert "MLFLOW_TRACKING_URI" not in str(variables(graph()))


@pytest.mark.parametrize("uri", ["sqlite:////data/mlflow.db", "file:///data/mlruns", "runs/mlflow.db"])
def test_a_store_in_a_file_is_refused(uri: str, tmp_path: Path) -> None:
    from pipelines.compile import compile_to

    with pytest.raises(ConfigurationError, match=uri):
        compile_to(recipe_by_name("digits-gan"), IMAGE, tmp_path / "graph.yaml", tracking_uri=uri)
    assert not (tmp_path / "graph.yaml").exists()


def test_the_stages_are_the_graphs_tasks_with_their_titles() -> None:
    tasks = tasks_of(graph())
    assert {stage.task for stage in STAGES} == tasks.keys()
    for stage in STAGES:
        assert tasks[stage.task]["taskInfo"]["name"].lower() == stage.title.lower()


def test_the_number_of_gpus_is_also_the_number_of_processes() -> None:
    given = graph()["root"]["dag"]["tasks"]["list-source"]["inputs"]["parameters"]["accelerator_count"]
    assert given == {"componentInputParameter": "accelerator_count"}
    assert "accelerator_count" in str(executors()["exec-train-model"]["resources"])


def test_training_and_the_extractor_wait_for_the_data_alone() -> None:
    tasks = graph()["root"]["dag"]["tasks"]
    waits = {name: set(task.get("dependentTasks", [])) for name, task in tasks.items()}
    assert waits["train-model"] == waits["fit-feature-extractor"] == {"list-source", "prepare-data"}
    assert "train-model" not in waits["fit-feature-extractor"]
    assert {"export-model", "fit-feature-extractor"} <= waits["evaluate-model"]
    assert "evaluate-model" in waits["promote-model"]


def test_shares_are_read_side_by_side_and_merged_when_all_are_there() -> None:
    """Each share says all that reading it needs: kfp.local hands a loop's body nothing but the loop's item."""
    tasks = graph()["root"]["dag"]["tasks"]
    (loop,) = (task for name, task in tasks.items() if name.startswith("for-loop"))
    assert "list-source" in loop["dependentTasks"]
    assert set(tasks_of(graph())["read-source"]["inputs"]["parameters"]) == {"share"}
    assert set(tasks["prepare-data"]["dependentTasks"]) == {"list-source", "for-loop-1"}
    assert "iteratorPolicy" not in loop


def test_only_promotion_is_never_tried_again() -> None:
    retries = {name: task.get("retryPolicy") for name, task in tasks_of(graph()).items()}
    assert [name for name, policy in retries.items() if policy is None] == ["promote-model"]


def test_every_parameter_is_described() -> None:
    parameters = graph()["root"]["inputDefinitions"]["parameters"]
    assert len(parameters) == 12
    assert all(len(parameter.get("description", "")) > 20 for parameter in parameters.values())


def test_every_step_runs_in_the_image_that_was_asked_for_with_stated_resources() -> None:
    for name, container in executors().items():
        assert container["image"] == IMAGE, name
        assert container["resources"]["cpuRequest"], name
        assert container["resources"]["memoryRequest"], name
        assert "pip install" not in " ".join(container["command"]), name


def test_a_recipe_compiles_to_the_same_graph_twice(tmp_path: Path) -> None:
    from pipelines.compile import compile_to

    compile_to(recipe_by_name("digits-gan"), IMAGE, tmp_path / "again.yaml")
    assert documents((tmp_path / "again.yaml").read_text()) == documents(compiled("digits-gan"))


@pytest.mark.parametrize("step", ["listing", "prepare", "train", "extractor", "export", "evaluate", "promote"])
def test_every_component_says_what_it_does(step: str) -> None:
    import importlib

    from kfp.dsl.python_component import PythonComponent

    module = importlib.import_module(f"components.{step}.component")
    found = [value for value in vars(module).values() if isinstance(value, PythonComponent)]
    assert found
    for component in found:
        assert len(inspect.getdoc(component.python_func) or "") > 20
        assert component.description


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(compiled("digits-gan"))
