"""What the train step may do, and how its nodes run."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.deploy.pods import pod_templates
from tests.deploy.rendered import DEPLOY, OVERLAYS, REPOSITORY, one, overlay
from tests.deploy.validation import problems

ROLE = DEPLOY / "base" / "training" / "role.yaml"


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_step_may_do_what_the_role_says_and_nothing_on_the_whole_cluster(name: str) -> None:
    """That the role is what it does: tests/components/launch/test_rights.py."""
    documents = overlay(name)
    role = one(documents, "Role", "ganvas-trainjobs")
    assert role["rules"] == yaml.safe_load(ROLE.read_text())["rules"]
    assert not {document["kind"] for document in documents} & {"ClusterRole", "ClusterRoleBinding"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_it_is_the_steps_account_that_may(name: str) -> None:
    binding = one(overlay(name), "RoleBinding", "ganvas-trainjobs")
    assert binding["metadata"]["namespace"] == "kubeflow"
    assert binding["roleRef"] == {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "Role",
        "name": "ganvas-trainjobs",
    }
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "pipeline-runner", "namespace": "kubeflow"}]


@pytest.mark.parametrize("name", OVERLAYS)
@pytest.mark.parametrize("runtime", ["ganvas-cpu", "ganvas-gpu"])
def test_a_runtime_is_one_that_the_trainer_takes(name: str, runtime: str) -> None:
    document = one(overlay(name), "TrainingRuntime", runtime)
    assert document["metadata"]["namespace"] == "kubeflow"
    assert document["metadata"]["labels"]["trainer.kubeflow.org/framework"] == "torch"
    assert document["spec"]["mlPolicy"] == {"numNodes": 1, "torch": {}}
    spec = document["spec"]["template"]["spec"]
    (job,) = spec["replicatedJobs"]
    # The Trainer looks for the label, and then for a container of this name.
    assert job["name"] == "node"
    assert job["template"]["metadata"]["labels"] == {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
    (pod,) = pod_templates([document])
    assert [container["name"] for container in pod.containers] == ["node"]


@pytest.mark.parametrize("runtime", ["ganvas-cpu", "ganvas-gpu"])
def test_the_whole_job_begins_again_and_never_one_node_alone(runtime: str) -> None:
    spec = one(overlay("production"), "TrainingRuntime", runtime)["spec"]["template"]["spec"]
    assert spec["failurePolicy"] == {"maxRestarts": 3}
    job = spec["replicatedJobs"][0]["template"]["spec"]
    assert job["backoffLimit"] == 0
    assert job["template"]["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize("runtime", ["ganvas-cpu", "ganvas-gpu"])
def test_shared_memory_lies_in_memory_and_fits_its_limit(runtime: str) -> None:
    (pod,) = pod_templates([one(overlay("production"), "TrainingRuntime", runtime)])
    (container,) = pod.containers
    (mount,) = [mount for mount in container["volumeMounts"] if mount["mountPath"] == "/dev/shm"]
    (volume,) = [volume for volume in pod.spec["volumes"] if volume["name"] == mount["name"]]
    assert volume["emptyDir"]["medium"] == "Memory"
    assert _gibibytes(volume["emptyDir"]["sizeLimit"]) <= _gibibytes(container["resources"]["limits"]["memory"]) / 2


def test_the_runtimes_differ_in_their_gpus_alone() -> None:
    documents = overlay("production")
    pods = {
        name: pod_templates([one(documents, "TrainingRuntime", name)])[0].spec for name in ("ganvas-cpu", "ganvas-gpu")
    }
    gpu = pods["ganvas-gpu"]["containers"][0].pop("resources")
    cpu = pods["ganvas-cpu"]["containers"][0].pop("resources")
    assert gpu["limits"]["nvidia.com/gpu"] == gpu["requests"]["nvidia.com/gpu"] == 1
    assert "nvidia.com/gpu" not in {**cpu["limits"], **cpu["requests"]}
    assert pods["ganvas-gpu"].pop("tolerations")[0]["key"] == "nvidia.com/gpu"
    for spec in pods.values():
        for volume in spec["volumes"]:
            volume["emptyDir"].pop("sizeLimit")
    assert pods["ganvas-cpu"] == pods["ganvas-gpu"]


def test_a_profile_has_the_right_for_its_own_account_and_the_same_runtimes() -> None:
    documents, theirs = overlay("profile"), overlay("production")
    assert {document["metadata"]["namespace"] for document in documents} == {"team-a"}
    assert [problems(document) for document in documents if problems(document)] == []
    account = {"kind": "ServiceAccount", "name": "default-editor", "namespace": "team-a"}
    assert one(documents, "RoleBinding", "ganvas-trainjobs")["subjects"] == [account]
    assert one(documents, "Role", "ganvas-trainjobs")["rules"] == one(theirs, "Role", "ganvas-trainjobs")["rules"]
    for name in ("ganvas-cpu", "ganvas-gpu"):
        (pod,) = pod_templates([one(documents, "TrainingRuntime", name)])
        (base,) = pod_templates([one(theirs, "TrainingRuntime", name)])
        assert pod.labels["sidecar.istio.io/inject"] == "false", "a job whose nodes have a proxy does not end"
        assert {key: value for key, value in pod.spec.items() if key != "containers"} == {
            key: value for key, value in base.spec.items() if key != "containers"
        }


def _gibibytes(quantity: str) -> float:
    assert quantity.endswith("Gi")
    return float(quantity.removesuffix("Gi"))


def test_every_runtime_that_the_code_names_is_there() -> None:
    code = "".join(path.read_text() for path in (REPOSITORY / "components").rglob("*.py"))
    named = set(re.findall(r'"(ganvas-(?:cpu|gpu))"', code))
    made = {document["metadata"]["name"] for document in overlay("production") if document["kind"] == "TrainingRuntime"}
    assert named <= made == {"ganvas-cpu", "ganvas-gpu"}
