"""The test's own parts agree with each other, with the manifests and with the pins; without an engine it says so."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer.main
import yaml
from kubernetes.utils import parse_quantity

from components.recipe import Recipe
from pipelines.cli.main import app
from pipelines.cli.options import resolved
from pipelines.recipes import RECIPES, recipe_by_name
from pipelines.surroundings import MLFLOW_KEYS, S3_KEYS
from tests.deploy.pods import pod_templates
from tests.deploy.rendered import DEPLOY, REPOSITORY, one, overlay
from tests.deploy.validation import KUBERNETES
from tests.kind import pins
from tests.kind.__main__ import steps
from tests.kind.chaos import RUN_LABEL
from tests.kind.install import wait_for_all
from tests.kind.kubectl import Kubectl
from tests.kind.logs import NAMESPACES
from tests.kind.pipeline_run import NODES, RECIPE_CHANGES, SURROUNDINGS, submit_command
from tests.kind.secrets import values_of


def _locked(package: str) -> str:
    lines = (REPOSITORY / "requirements.lock").read_text().splitlines()
    (found,) = [line.split("==")[1].split()[0] for line in lines if line.startswith(f"{package}==")]
    return found


def test_the_versions_are_those_that_the_code_is_written_for() -> None:
    assert _locked("kfp") == pins.PIPELINES
    development = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]["dev"]
    assert f"kubeflow-trainer-api=={pins.TRAINER.removeprefix('v')}" in development
    assert pins.NODE_IMAGE.partition(":v")[2].rpartition(".")[0] == KUBERNETES
    for address, version in (
        (pins.PIPELINES_CLUSTER, pins.PIPELINES),
        (pins.PIPELINES_PLATFORM, pins.PIPELINES),
        (pins.TRAINER_MANAGER, pins.TRAINER),
    ):
        assert address.endswith(f"?ref={version}")


def test_every_image_of_ours_is_one_that_is_loaded_and_no_tag_means_latest() -> None:
    containers = [container for pod in pod_templates(overlay("kind")) for container in pod.containers]
    # A runtime's image is a stand-in: the TrainJob names the step's own.
    images = {container["image"] for container in containers if container["name"] != "node"}
    ours = {image for image in images if image.startswith("ganvas-")}
    assert ours == {pins.SERVING_IMAGE, pins.PIPELINE_IMAGE}
    assert not any(image.endswith(":latest") or ":" not in image for image in images | ours)


def _recipe() -> Recipe:
    return resolved(pins.RECIPE, list(RECIPE_CHANGES))


def test_the_endpoint_serves_what_the_run_registers_whatever_the_gate_says() -> None:
    told = one(overlay("kind"), "ConfigMap", "ganvas-serving")["data"]
    assert pins.RECIPE in RECIPES
    assert told["GANVAS_SERVE_MODELS"] == _recipe().model_name == pins.RECIPE
    assert "GANVAS_SERVE_REQUIRE_VERDICT" not in told, "the test points the alias at what the gate may have refused"


@pytest.mark.parametrize("service", [pins.MLFLOW, pins.SERVING, pins.STORAGE])
def test_what_is_forwarded_is_a_service_of_the_overlay(service: pins.Service) -> None:
    namespace, name, port = service
    found = one(overlay("kind"), "Service", name)
    assert found["metadata"]["namespace"] == namespace
    assert port in [entry["port"] for entry in found["spec"]["ports"]]


def test_the_run_reaches_the_services_that_the_overlay_makes() -> None:
    documents = overlay("kind")
    for address, name in ((SURROUNDINGS["tracking-uri"], "mlflow"), (SURROUNDINGS["s3-endpoint"], "s3")):
        service = one(documents, "Service", name)
        (port,) = service["spec"]["ports"]
        assert address == f"http://{name}.{service['metadata']['namespace']}:{port['port']}"
    bucket = SURROUNDINGS["checkpoint-uri"].removeprefix("s3://").partition("/")[0]
    (storage,) = pod_templates([one(documents, "StatefulSet", "s3")])
    (maker,) = [container for container in storage.containers if container["name"] == "buckets"]
    assert bucket in maker["command"]
    regions = {variable["value"] for variable in maker["env"] if variable["name"] == "AWS_REGION"}
    assert regions == {SURROUNDINGS["s3-region"]}


def test_the_runs_secrets_are_made_in_its_namespace_with_the_keys_that_it_takes() -> None:
    generated = yaml.safe_load((DEPLOY / "secrets" / "kustomization.yaml").read_text())["secretGenerator"]
    files = {(secret["namespace"], secret["name"]): secret["envs"][0] for secret in generated}
    for option, keys in (("s3-secret", S3_KEYS), ("mlflow-secret", MLFLOW_KEYS)):
        file = DEPLOY / "secrets" / f"{files['kubeflow', SURROUNDINGS[option]]}.example"
        assert set(values_of(file)) == set(keys)


def test_every_namespace_of_the_overlay_is_waited_for_and_its_logs_are_kept() -> None:
    documents = overlay("kind")
    namespaces = {document["metadata"]["name"] for document in documents if document["kind"] == "Namespace"}
    assert namespaces <= set(NAMESPACES)
    code = inspect.getsource(wait_for_all)
    for document in documents:
        kind, where = document["kind"], document["metadata"].get("namespace", "")
        # The endpoint is ready only once it has a champion.
        if kind in ("Deployment", "StatefulSet") and where != pins.SERVING[0]:
            wanted = f'"{where}", "statefulsets")' if kind == "StatefulSet" else f'"{where}")'
            assert wanted in code, f"{kind} {document['metadata']['name']} is not waited for"


def test_the_nodes_find_a_runtime_a_right_and_what_they_ask_for() -> None:
    documents = overlay("kind")
    assert one(documents, "TrainingRuntime", "ganvas-cpu")["metadata"]["namespace"] == pins.PIPELINES_UI[0]
    assert one(documents, "RoleBinding", "ganvas-trainjobs")["metadata"]["namespace"] == pins.PIPELINES_UI[0]
    recipe = _recipe()
    assert recipe.resources.nodes * parse_quantity(SURROUNDINGS["training-memory"]) <= 8 * 2**30, "half of 16 GB"
    assert recipe.resources.processes_per_node == 1


def test_the_command_line_is_one_that_ganvas_takes() -> None:
    program, command, *arguments = submit_command("http://127.0.0.1:1")
    assert Path(program).exists()
    group = typer.main.get_command(app)
    submit = group.commands[command]  # type: ignore[attr-defined]
    known = {option for parameter in submit.params for option in parameter.opts}
    given = {argument.partition("=")[0] for argument in arguments if argument.startswith("--")}
    assert given <= known
    assert "watch" in group.commands  # type: ignore[attr-defined]


def test_a_node_is_lost_early_in_a_short_training() -> None:
    training = _recipe().training
    assert _recipe().resources.nodes == NODES == 2
    assert (
        4 * training.checkpoint_every_images
        < training.images_seen
        <= 4 * recipe_by_name(pins.RECIPE).training.images_seen
    )


def test_the_label_of_the_run_is_the_launcher_s() -> None:
    code = "".join(path.read_text() for path in (REPOSITORY / "components").rglob("*.py"))
    assert f'"{RUN_LABEL}"' in code


def test_what_is_installed_is_there_before_what_needs_it(tmp_path: Path) -> None:
    names = [name for name, _ in steps(Kubectl(tmp_path / "kubeconfig"), tmp_path)]
    assert len(names) == len(set(names)) == 9
    # The namespace of the runs comes with Kubeflow Pipelines, the kind of the runtimes with the Trainer.
    assert names.index("install Kubeflow Pipelines") < names.index("install what is ours")
    assert names.index("install Kubeflow Trainer") < names.index("install what is ours")
    assert names.index("load the images") < names.index("install what is ours")


def _program(directory: Path, name: str, script: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("programs", "said"),
    [
        ({}, "needs docker"),
        ({"docker": "exit 0"}, "needs kind (v0.32.0)"),
        ({"docker": "exit 0", "kind": "exit 0"}, "needs git"),
        (
            {"docker": "echo Cannot connect to the Docker daemon >&2; exit 1", "kind": "exit 0", "git": "exit 0"},
            "none answers: docker version --format {{.Server.Version}} ended with code 1: Cannot connect",
        ),
        (
            {"docker": "exit 0", "kind": "echo kind v0.31.0 go1.25 linux/amd64", "git": "exit 0"},
            "written for kind v0.32.0; here is kind v0.31.0",
        ),
    ],
)
def test_where_something_is_missing_it_says_so_at_once_in_one_line(
    programs: dict[str, str], said: str, tmp_path: Path
) -> None:
    for name, script in programs.items():
        _program(tmp_path, name, script)
    environment = {"PATH": str(tmp_path), "PYTHONPATH": str(REPOSITORY), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.kind"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment,
        cwd=REPOSITORY,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert said in line


def test_the_workflow_installs_the_same_kind_and_runs_what_a_person_runs() -> None:
    workflow = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "ci.yaml").read_text())
    jobs = workflow["jobs"]
    assert jobs["kind"]["env"]["KIND_VERSION"] == pins.KIND
    commands = {job: [step["run"] for step in jobs[job]["steps"] if "run" in step] for job in jobs}
    assert ".ci/run" in commands["checks"] and "make kind-test" in commands["kind"]
    assert (REPOSITORY / ".ci" / "run").exists()
    assert "\nkind-test:" in (REPOSITORY / "Makefile").read_text()
    assert workflow["permissions"] == {"contents": "read"}


def test_the_page_has_the_same_commands_and_at_most_ten() -> None:
    page = (REPOSITORY / "docs" / "kubernetes.md").read_text()
    numbered = re.findall(r"^\| (\d+) \| `(.+?)`", page, re.MULTILINE)
    assert [int(number) for number, _ in numbered] == list(range(1, len(numbered) + 1))
    assert len(numbered) <= 10
    for pin in (pins.PIPELINES_CLUSTER, pins.PIPELINES_PLATFORM, pins.TRAINER_MANAGER, pins.NODE_IMAGE):
        assert pin in page
    (submitted,) = re.findall(r"^    ganvas submit ([^\\\n]*(?:\\\n[^\\\n]*)+)", page, re.MULTILINE)
    words = submitted.replace("\\\n", " ").split()
    for name, value in SURROUNDINGS.items():
        assert words[words.index(f"--{name}") + 1] == value
    assert words[0] == pins.RECIPE and words[words.index("--image") + 1] == pins.PIPELINE_IMAGE
