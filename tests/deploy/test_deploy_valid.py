"""Every manifest is one that the cluster's API takes, and the check finds those that are not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.rendered import DEPLOY, OVERLAYS, Document, one, overlay, render
from tests.deploy.validation import problems


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_manifest_of_an_overlay_is_valid(name: str) -> None:
    documents = overlay(name)
    assert {document["kind"] for document in documents} >= {"TrainingRuntime", "NetworkPolicy", "Role", "ConfigMap"}
    found = {f"{document['kind']} {document['metadata']['name']}": problems(document) for document in documents}
    assert {where: wrong for where, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize("name", OVERLAYS)
def test_no_two_manifests_are_the_same_object(name: str) -> None:
    names = [
        (document["apiVersion"], document["kind"], document["metadata"].get("namespace"), document["metadata"]["name"])
        for document in overlay(name)
    ]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_namespace_is_made_here_or_is_kubeflow_s(name: str) -> None:
    documents = overlay(name)
    made = {document["metadata"]["name"] for document in documents if document["kind"] == "Namespace"}
    used = {document["metadata"]["namespace"] for document in documents if document["kind"] != "Namespace"}
    assert used == made | {"kubeflow"}


def test_gang_scheduling_is_an_option_of_the_runtimes(tmp_path: Path) -> None:
    documents = _with_component("gang-scheduling", tmp_path)
    policies = {
        document["metadata"]["name"]: document["spec"]["podGroupPolicy"]
        for document in documents
        if document["kind"] == "TrainingRuntime"
    }
    assert policies == {
        name: {"coscheduling": {"scheduleTimeoutSeconds": 300}} for name in ("ganvas-cpu", "ganvas-gpu")
    }
    assert [problems(document) for document in documents if document["kind"] == "TrainingRuntime"] == [[], []]
    plain = [document for document in overlay("production") if document["kind"] == "TrainingRuntime"]
    assert all("podGroupPolicy" not in document["spec"] for document in plain)


def test_a_gpu_is_an_option_of_the_endpoint(tmp_path: Path) -> None:
    documents = _with_component("serving-gpu", tmp_path)
    deployment = one(documents, "Deployment", "ganvas-serving")
    assert problems(deployment) == []
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    config = one(documents, "ConfigMap", "ganvas-serving")
    assert config["data"]["GANVAS_SERVE_DEVICE"] == "cuda"
    assert container["envFrom"][0]["configMapRef"]["name"] == config["metadata"]["name"]


def _with_component(name: str, directory: Path) -> list[Document]:
    """The production overlay with one component more."""
    shutil.copytree(DEPLOY, directory / "deploy")
    over = directory / "deploy" / "overlays" / "with-component"
    over.mkdir()
    (over / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
        f"resources: [../production]\ncomponents: [../../components/{name}]\n"
    )
    return render(over)


def _deployment(change: Callable[[Document], object]) -> Document:
    return _changed("Deployment", "ganvas-serving", change)


def _runtime(change: Callable[[Document], object]) -> Document:
    return _changed("TrainingRuntime", "ganvas-gpu", change)


def _changed(kind: str, name: str, change: Callable[[Document], object], of: str = "production") -> Document:
    document = one(overlay(of), kind, name)
    assert problems(document) == []
    change(document)
    return document


def _pod(runtime: Document) -> Document:
    spec: Document = runtime["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    return spec


BROKEN: dict[str, tuple[Callable[[], Document], str]] = {
    "unknown field": (lambda: _deployment(lambda d: d["spec"].update(replica=2)), "replica"),
    "unknown field, deep": (
        lambda: _deployment(lambda d: d["spec"]["template"]["spec"]["containers"][0]["livenessProbe"].update(path="/")),
        "path",
    ),
    "wrong type": (
        lambda: _deployment(lambda d: d["spec"]["template"]["spec"].update(terminationGracePeriodSeconds="45")),
        "terminationGracePeriodSeconds",
    ),
    "a required field is gone": (lambda: _deployment(lambda d: d["spec"].pop("selector")), "selector"),
    "unknown kind": (lambda: _deployment(lambda d: d.update(kind="Deploymint")), "deploymint"),
    "runtime: unknown field of the JobSet": (
        lambda: _runtime(lambda d: d["spec"]["template"]["spec"]["failurePolicy"].update(maxRestart=3)),
        "maxRestart",
    ),
    "runtime: wrong type": (lambda: _runtime(lambda d: d["spec"]["mlPolicy"].update(numNodes="two")), "num"),
    "runtime: a field of an older API": (
        lambda: _runtime(lambda d: d["spec"]["mlPolicy"]["torch"].update(numProcPerNode="auto")),
        "numProcPerNode",
    ),
    "runtime: unknown field of the container": (
        lambda: _runtime(lambda d: _pod(d)["containers"][0].update(cmd=["python"])),
        "cmd",
    ),
    "runtime: wrong type in the pod": (
        lambda: _runtime(lambda d: _pod(d).update(enableServiceLinks="no")),
        "enableServ",
    ),
    "monitor: unknown field": (
        lambda: _changed("ServiceMonitor", "ganvas-serving", lambda d: d["spec"]["endpoints"][0].update(every="15s")),
        "every",
    ),
    "monitor: wrong type": (
        lambda: _changed("ServiceMonitor", "ganvas-serving", lambda d: d["spec"].update(endpoints={"port": "http"})),
        "endpoints",
    ),
    "pod monitor: unknown field": (
        lambda: _changed(
            "PodMonitor",
            "ganvas-serving",
            lambda d: d["spec"]["podMetricsEndpoints"][0].update(every="15s"),
            "production-kserve",
        ),
        "every",
    ),
    "kserve: unknown field": (
        lambda: _changed(
            "InferenceService", "ganvas-serving", lambda d: d["spec"].update(predicter={}), "production-kserve"
        ),
        "predicter",
    ),
    "kserve: unknown field of the pod": (
        lambda: _changed(
            "InferenceService",
            "ganvas-serving",
            lambda d: d["spec"]["predictor"].update(minReplica=2),
            "production-kserve",
        ),
        "minReplica",
    ),
    "kserve: wrong type": (
        lambda: _changed(
            "InferenceService",
            "ganvas-serving",
            lambda d: d["spec"]["predictor"].update(minReplicas="2"),
            "production-kserve",
        ),
        "minReplicas",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_manifest_is_found(case: str) -> None:
    make, named = BROKEN[case]
    found = problems(make())
    assert found
    assert any(named.lower() in problem.lower() for problem in found), found
