"""The compiled graph: the same for every recipe, explained, cached where that is sound.

After a change of the graph: ``python -m tests.pipelines.test_graph`` writes the golden file again.
"""

from __future__ import annotations

import difflib
import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.cluster import ClusterSettings
from components.recipe import parse_recipe
from models.errors import ConfigurationError
from pipelines.recipes import recipe_by_name
from pipelines.stages import CLUSTER_STAGES, HOUR, TRAIN
from pipelines.surroundings import MLFLOW_KEYS, S3_KEYS, Surroundings
from tests.pipelines.own_stack import on_its_own_stack

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "train-and-promote.yaml"
IMAGE = "registry.example/ganvas@sha256:" + "0" * 64
REQUESTS = {"cpuRequest", "memoryRequest", "memoryLimit", "resourceMemoryLimit"}
GROUPS = ("for-loop", "exit-handler")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # kfp's own


@cache
def compiled(name: str) -> str:
    import tempfile

    from pipelines.compile import compile_to

    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory) / "graph.yaml"
        on_its_own_stack(compile_to, recipe_by_name(name), IMAGE, output)
        return output.read_text()


def documents(text: str) -> list[dict[str, Any]]:
    return [document for document in yaml.load_all(text, yaml.CSafeLoader) if document]


def graph(name: str = "digits-gan") -> dict[str, Any]:
    return documents(compiled(name))[0]


def tasks_of(compiled_graph: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every task that runs something, those within loops among them."""
    found: dict[str, dict[str, Any]] = {}
    for part in (compiled_graph["root"], *compiled_graph["components"].values()):
        found |= part.get("dag", {}).get("tasks", {})
    return {name: task for name, task in found.items() if not name.startswith(GROUPS)}


def steps(name: str = "digits-gan") -> dict[str, Any]:
    """The tasks whose end is reported, by name; a loop among them."""
    parts: dict[str, Any] = graph(name)["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    return parts


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


# One of each family, and one of vectors: a compilation takes seconds.
@pytest.mark.parametrize("name", ["digits-vae", "digits-ae", "ring-gan", "images-gan"])
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
        "conclude-run": False,
    }


def test_a_cached_steps_key_names_no_run() -> None:
    """The engine puts the run's id in the place of its placeholder first, and then asks its cache for the inputs."""
    tasks = tasks_of(graph())
    cached = {name: task["inputs"] for name, task in tasks.items() if task["cachingOptions"].get("enableCache")}
    assert cached.keys() == {"read-source", "prepare-data", "train-model", "fit-feature-extractor"}
    for name, inputs in cached.items():
        assert "pipeline_job_uuid" not in str(inputs), name
        assert not {"model_name", "pipeline_run_id"} & inputs["parameters"].keys(), name
    sizes = ("accelerator_", "cpu_", "memory_", "pipelinechannel--list-source-")
    decides = {name for name in cached["train-model"]["parameters"] if not name.startswith(sizes)}
    assert decides == {"training", "machines"}  # and the sizes that its pod asks for


def test_training_is_told_for_which_run_it_works_by_its_environment() -> None:
    platform = documents(compiled("digits-gan"))[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert platform["exec-train-model"]["fieldPathAsEnv"] == [
        {"name": "GANVAS_PIPELINE_RUN_ID", "fieldPath": "metadata.labels['pipeline/runid']"}
    ]
    told = variables(graph())["exec-train-model"]
    assert told.pop("GANVAS_MODEL_NAME") == "digits-gan"
    assert ClusterSettings.model_validate_json(told.pop("GANVAS_CLUSTER")) == ClusterSettings(image=IMAGE)
    assert told == {}


def variables(compiled_graph: dict[str, Any]) -> dict[str, dict[str, str]]:
    executors = compiled_graph["deploymentSpec"]["executors"]
    return {
        name: {entry["name"]: entry["value"] for entry in executor["container"].get("env", [])}
        for name, executor in executors.items()
    }


def test_a_run_whose_id_is_known_tells_every_step_the_same(tmp_path: Path) -> None:
    from kfp import compiler

    from pipelines.graph import build_pipeline

    pipeline = on_its_own_stack(build_pipeline, recipe_by_name("digits-gan"), run_id="run-7")
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
    around = Surroundings(tracking_uri=uri)
    on_its_own_stack(compile_to, recipe_by_name("digits-gan"), IMAGE, tmp_path / "graph.yaml", around)
    told = variables(documents((tmp_path / "graph.yaml").read_text())[0])
    assert {name for name, given in told.items() if given.get("MLFLOW_TRACKING_URI") == uri} == {
        "exec-list-source",
        "exec-train-model",
        "exec-evaluate-model",
        "exec-promote-model",
        "exec-conclude-run",
    }
    assert "MLFLOW_TRACKING_URI" not in str(variables(graph()))


@pytest.mark.parametrize("uri", ["sqlite:////data/mlflow.db", "file:///data/mlruns", "runs/mlflow.db"])
def test_a_store_in_a_file_is_refused(uri: str, tmp_path: Path) -> None:
    from pipelines.compile import compile_to

    with pytest.raises(ConfigurationError, match=uri):
        compile_to(recipe_by_name("digits-gan"), IMAGE, tmp_path / "graph.yaml", Surroundings(tracking_uri=uri))
    assert not (tmp_path / "graph.yaml").exists()


def test_the_stages_are_the_graphs_tasks_with_their_titles() -> None:
    tasks = tasks_of(graph())
    assert {stage.task for stage in CLUSTER_STAGES} == tasks.keys()
    for stage in CLUSTER_STAGES:
        assert tasks[stage.task]["taskInfo"]["name"].lower() == stage.title.lower()


def test_the_number_of_gpus_is_also_the_number_of_processes() -> None:
    given = steps()["list-source"]["inputs"]["parameters"]["accelerator_count"]
    assert given == {"componentInputParameter": "pipelinechannel--accelerator_count"}


def test_what_the_training_pod_asks_for_are_texts_of_the_first_step() -> None:
    """The engine reads nothing of a number there, and the compiler leads no parameter of the graph's own there."""
    asked = executors()["exec-train-model"]["resources"]
    channel = "{{{{$.inputs.parameters['pipelinechannel--list-source-{}']}}}}".format
    assert asked == {
        "accelerator": {"resourceType": channel("accelerator_type"), "resourceCount": channel("accelerators")},
        "resourceCpuRequest": channel("cpus"),
        "resourceMemoryRequest": channel("memory"),
        "resourceMemoryLimit": channel("memory"),
    }
    outputs = graph()["components"]["comp-list-source"]["outputDefinitions"]["parameters"]
    for name in ("accelerator_type", "accelerators", "cpus", "memory"):
        assert outputs[name]["parameterType"] == "STRING"


@pytest.mark.parametrize("kind", ["graph", "comparison"])
def test_every_input_of_a_task_is_led_there(kind: str) -> None:
    """A compiled graph in which one is not fails on the server only, at that task."""
    document = graph() if kind == "graph" else documents(comparison())[0]
    for name, component in document["components"].items():
        known = component.get("inputDefinitions", {}).get("parameters", {})
        for task_name, task in component.get("dag", {}).get("tasks", {}).items():
            for given in task.get("inputs", {}).get("parameters", {}).values():
                source = given.get("componentInputParameter")
                assert source is None or source in known, (name, task_name, source)


def test_further_machines_are_asked_for_by_parameters() -> None:
    """By way of the first step: it knows how many there are, and its output is led past the exit handler's group."""
    given = steps()["list-source"]["inputs"]["parameters"]
    for name in ("training_cpus", "training_memory", "accelerator_type", "tolerations", "node_selector"):
        assert given[name] == {"componentInputParameter": f"pipelinechannel--{name}"}
    machines = steps()["train-model"]["inputs"]["parameters"]["machines"]
    assert machines["taskOutputParameter"] == {"producerTask": "list-source", "outputParameterKey": "machines"}


def test_training_is_placed_by_parameters() -> None:
    placed = platform()["exec-train-model"]
    assert placed["tolerations"] == [{"tolerationJson": {"componentInputParameter": "pipelinechannel--tolerations"}}]
    assert placed["nodeSelector"] == {"nodeSelectorJson": {"componentInputParameter": "pipelinechannel--node_selector"}}
    assert placed["emptyDirMounts"] == [{"volumeName": "shared-memory", "mountPath": "/dev/shm", "medium": "Memory"}]


def platform(text: str = "") -> dict[str, Any]:
    found: dict[str, Any] = documents(text or compiled("digits-gan"))[1]["platforms"]["kubernetes"]["deploymentSpec"]
    return dict(found["executors"])


def test_every_pod_has_a_deadline() -> None:
    deadlines = {name: int(settings["activeDeadlineSeconds"]) for name, settings in platform().items()}
    expected = {f"exec-{stage.task}": stage.timeout_seconds for stage in CLUSTER_STAGES}
    # Beyond that of a training on other machines, which is stopped and explained by this pod.
    assert deadlines == expected | {f"exec-{TRAIN.task}": TRAIN.timeout_seconds + HOUR}


AROUND = Surroundings(
    tracking_uri="http://mlflow.mlflow:5000",
    mlflow_secret="ganvas-mlflow",
    checkpoint_uri="s3://training/checkpoints",
    s3_endpoint="http://minio:9000",
    s3_region="eu-1",
    s3_secret="ganvas-s3",
    kfp_url="http://kfp/",
    mlflow_url="https://mlflow.example/",
    training_cpus="16",
    training_memory="64Gi",
    training_hours=48,
    progress_timeout_seconds=3_600,
    training_runtime="big",
    training_service_account="trains",
)


@cache
def surrounded() -> str:
    import tempfile

    from pipelines.compile import compile_to

    with tempfile.TemporaryDirectory() as directory:
        on_its_own_stack(compile_to, recipe_by_name("digits-gan"), IMAGE, Path(directory) / "graph.yaml", AROUND)
        return (Path(directory) / "graph.yaml").read_text()


def test_credentials_come_from_secrets_to_those_who_need_them() -> None:
    got: dict[str, dict[str, str]] = {}
    for name, settings in platform(surrounded()).items():
        for secret in settings.get("secretAsEnv", []):
            assert secret["optional"] is False
            for pair in secret["keyToEnv"]:
                assert pair["secretKey"] == pair["envVar"]
                got.setdefault(name, {})[pair["envVar"]] = secret["secretName"]
    s3, mlflow = dict.fromkeys(S3_KEYS, "ganvas-s3"), dict.fromkeys(MLFLOW_KEYS, "ganvas-mlflow")
    assert got == {
        "exec-list-source": s3 | mlflow,
        "exec-read-source": s3,
        "exec-prepare-data": s3,
        "exec-train-model": s3 | mlflow,
        "exec-evaluate-model": s3 | mlflow,
        "exec-promote-model": s3 | mlflow,
        "exec-conclude-run": mlflow,
    }
    assert "SECRET_ACCESS_KEY:" not in surrounded()


def test_further_machines_are_started_as_the_training_pod_was() -> None:
    told = variables(documents(surrounded())[0])["exec-train-model"]
    cluster = ClusterSettings.model_validate_json(told.pop("GANVAS_CLUSTER"))
    assert cluster.environment.items() <= told.items()
    assert cluster.environment["AWS_ENDPOINT_URL"] == "http://minio:9000"
    assert cluster.secrets["AWS_SECRET_ACCESS_KEY"] == "ganvas-s3"
    assert (cluster.image, cluster.machines.cpus, cluster.machines.memory) == (IMAGE, "16", "64Gi")
    assert (cluster.timeout_seconds, cluster.progress_timeout_seconds) == (48 * HOUR, 3_600)
    assert (cluster.runtime, cluster.service_account) == ("big", "trains")
    assert int(platform(surrounded())["exec-train-model"]["activeDeadlineSeconds"]) == 49 * HOUR
    defaults = documents(surrounded())[0]["root"]["inputDefinitions"]["parameters"]
    assert defaults["training_memory"]["defaultValue"] == "64Gi"


def test_links_lead_to_where_people_are() -> None:
    told = variables(documents(surrounded())[0])["exec-promote-model"]
    assert told["MLFLOW_TRACKING_URI"] == "http://mlflow.mlflow:5000"
    assert told["GANVAS_MLFLOW_URL"] == "https://mlflow.example/"
    assert told["GANVAS_RUN_URL"] == "http://kfp/#/runs/details/{run_id}"


def test_the_end_is_reported_whatever_became_of_the_steps() -> None:
    tasks = graph()["root"]["dag"]["tasks"]
    assert tasks.keys() == {"exit-handler-1", "conclude-run"}
    last = tasks["conclude-run"]
    assert last["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert last["inputs"]["parameters"]["status"] == {"taskFinalStatus": {"producerTask": "exit-handler-1"}}
    assert steps().keys() == (tasks_of(graph()).keys() - {"conclude-run", "read-source"}) | {"for-loop-2"}


@cache
def comparison() -> str:
    import tempfile

    from pipelines.comparison import build_comparison
    from pipelines.compile import write_compiled
    from pipelines.contestants import contestants

    with tempfile.TemporaryDirectory() as directory:
        recipes = contestants("digits", {})
        graph = on_its_own_stack(build_comparison, recipes, image=IMAGE, accelerators=1, around=AROUND)
        write_compiled(graph, Path(directory) / "graph.yaml")
        return (Path(directory) / "graph.yaml").read_text()


@pytest.mark.parametrize("kind", ["graph", "with-stores", "comparison"])
def test_the_sdk_loads_it_with_every_image_by_digest_and_every_parameter_described(kind: str) -> None:
    from kfp import components

    text = {"graph": lambda: compiled("digits-gan"), "with-stores": surrounded, "comparison": comparison}[kind]()
    loaded = components.load_component_from_text(text)
    document = documents(text)[0]
    assert loaded.component_spec.name == document["pipelineInfo"]["name"]
    assert loaded.component_spec.inputs.keys() == document["root"]["inputDefinitions"]["parameters"].keys()
    images = {executor["container"]["image"] for executor in document["deploymentSpec"]["executors"].values()}
    assert images == {IMAGE}
    assert not re.search(r"image: (?!\S*@sha256:)\S", text)
    assert ":latest" not in text
    for name, parameter in document["root"]["inputDefinitions"]["parameters"].items():
        assert len(parameter["description"]) > 20, name
    assert len(document["pipelineInfo"]["description"]) > 20


def test_training_and_the_extractor_wait_for_the_data_alone() -> None:
    tasks = steps()
    waits = {name: set(task.get("dependentTasks", [])) for name, task in tasks.items()}
    assert waits["train-model"] == waits["fit-feature-extractor"] == {"list-source", "prepare-data"}
    assert "train-model" not in waits["fit-feature-extractor"]
    assert {"export-model", "fit-feature-extractor"} <= waits["evaluate-model"]
    assert "evaluate-model" in waits["promote-model"]


def test_shares_are_read_side_by_side_and_merged_when_all_are_there() -> None:
    """Each share says all that reading it needs: kfp.local hands a loop's body nothing but the loop's item."""
    tasks = steps()
    (loop,) = (task for name, task in tasks.items() if name.startswith("for-loop"))
    assert "list-source" in loop["dependentTasks"]
    assert set(tasks_of(graph())["read-source"]["inputs"]["parameters"]) == {"share"}
    assert set(tasks["prepare-data"]["dependentTasks"]) == {"list-source", "for-loop-2"}
    assert "iteratorPolicy" not in loop


def test_only_promotion_is_never_tried_again() -> None:
    retries = {name: task.get("retryPolicy") for name, task in tasks_of(graph()).items()}
    assert [name for name, policy in retries.items() if policy is None] == ["promote-model"]


def test_every_parameter_is_described() -> None:
    parameters = graph()["root"]["inputDefinitions"]["parameters"]
    assert len(parameters) == 16
    assert all(len(parameter.get("description", "")) > 20 for parameter in parameters.values())


def test_every_step_runs_in_the_image_that_was_asked_for_with_stated_resources() -> None:
    for name, container in executors().items():
        assert container["image"] == IMAGE, name
        asked = container["resources"].keys()
        assert asked >= ({"resourceCpuRequest", "resourceMemoryRequest"} if "train" in name else REQUESTS), name
        assert "pip install" not in " ".join(container["command"]), name


def test_a_recipe_compiles_to_the_same_graph_twice(tmp_path: Path) -> None:
    from pipelines.compile import compile_to

    on_its_own_stack(compile_to, recipe_by_name("digits-gan"), IMAGE, tmp_path / "again.yaml")
    assert documents((tmp_path / "again.yaml").read_text()) == documents(compiled("digits-gan"))


@pytest.mark.parametrize(
    "step", ["listing", "prepare", "train", "extractor", "export", "evaluate", "promote", "conclude"]
)
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
