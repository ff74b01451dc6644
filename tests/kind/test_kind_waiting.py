"""Waiting, and when a part of the cluster is ready, asked of a small API by the real kubectl."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.components.storage.server import client, running_s3
from tests.kind import waiting
from tests.kind.api_server import Api, running
from tests.kind.chaos import Training, not_restarted, running_nodes
from tests.kind.checkpoints import Checkpoints
from tests.kind.kubectl import Kubectl, in_namespace
from tests.kind.pipeline_run import SURROUNDINGS
from tests.kind.readiness import (
    all_available,
    crd_established,
    not_available,
    not_established,
    webhooks_trusted,
    without_ca_bundle,
)
from tests.kind.shell import Hopeless, StepFailed
from tests.kind.waiting import wait_until

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1"


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "INTERVAL_SECONDS", 0.01)


@pytest.fixture
def api() -> Iterator[Api]:
    with running(Api()) as api:
        yield api


@pytest.fixture
def kubectl(api: Api, tmp_path: Path) -> Kubectl:
    return Kubectl(api.kubeconfig(tmp_path))


def _crd(established: str) -> dict[str, Any]:
    conditions = [{"type": "NamesAccepted", "status": "True"}, {"type": "Established", "status": established}]
    return {"metadata": {"name": "trainjobs"}, "status": {"conditions": conditions}}


def _workload(generation: int, **status: int) -> dict[str, Any]:
    return {"metadata": {"name": "mlflow", "generation": generation}, "spec": {"replicas": 2}, "status": status}


def _webhooks(*bundles: str) -> dict[str, Any]:
    hooks = [{"name": f"hook{index}", "clientConfig": {"caBundle": text}} for index, text in enumerate(bundles)]
    return {"items": [{"metadata": {"name": "trainer"}, "webhooks": hooks}]}


def test_a_definition_is_ready_once_it_is_established() -> None:
    assert not_established(_crd("False")) == "trainjobs is not established"
    assert not_established({"metadata": {"name": "trainjobs"}}) == "trainjobs is not established"
    assert not_established(_crd("True")) == ""


def test_a_webhook_is_ready_once_it_has_an_authority() -> None:
    assert without_ca_bundle(_webhooks("Y2E=", "")) == "no caBundle in trainer/hook1"
    assert without_ca_bundle(_webhooks("Y2E=", "Y2E=")) == ""
    assert without_ca_bundle({"items": []}) == ""


@pytest.mark.parametrize(
    ("workload", "missing"),
    [
        (_workload(2, observedGeneration=1, readyReplicas=2, updatedReplicas=2), "mlflow was not looked at yet"),
        (_workload(2, observedGeneration=2, readyReplicas=2, updatedReplicas=1), "mlflow has 1 of 2 replicas"),
        (_workload(2, observedGeneration=2), "mlflow has 0 of 2 replicas"),
        (_workload(2, observedGeneration=2, readyReplicas=2, updatedReplicas=2), ""),
    ],
)
def test_a_workload_is_ready_with_all_replicas_of_its_newest_template(workload: dict[str, Any], missing: str) -> None:
    assert not_available(workload) == missing


def test_it_is_waited_for_what_the_cluster_has_not_yet(api: Api, kubectl: Kubectl) -> None:
    looks: list[str] = []

    def crd(_: dict[str, str]) -> Any:
        looks.append("")
        return None if len(looks) < 2 else _crd("False") if len(looks) < 3 else _crd("True")

    api.get[f"{CRDS}/trainjobs"] = crd
    wait_until("the definition", partial(crd_established, kubectl, "trainjobs"), 30)
    assert len(looks) == 3


def test_what_never_comes_is_told_with_what_was_missing(api: Api, kubectl: Kubectl) -> None:
    api.get[f"{WEBHOOKS}/validatingwebhookconfigurations"] = lambda _: _webhooks("")
    api.get[f"{WEBHOOKS}/mutatingwebhookconfigurations"] = lambda _: _webhooks("Y2E=")
    with pytest.raises(StepFailed, match=r"certificates: not within 0 s\. no caBundle in trainer/hook0"):
        wait_until("certificates", partial(webhooks_trusted, kubectl), 0)


def test_a_namespace_without_workloads_is_not_ready(api: Api, kubectl: Kubectl) -> None:
    api.get[in_namespace("apps/v1", "mlflow", "deployments")] = lambda _: {"items": []}
    assert all_available(kubectl, "mlflow") == "no deployments in mlflow"


def test_an_api_that_is_not_there_is_one_line(kubectl: Kubectl) -> None:
    with pytest.raises(StepFailed, match="ended with code 1") as caught:
        kubectl.read("/apis/nothing")
    assert "\n" not in str(caught.value)


def test_the_hopeless_is_not_waited_for() -> None:
    def look() -> str:
        raise Hopeless("The run ended.")

    with pytest.raises(Hopeless):
        wait_until("a node", look, 3600)


class _Cluster:
    """A TrainJob of two nodes, of which one may be lost."""

    def __init__(self, api: Api, run_state: str = "RUNNING") -> None:
        self.restarts, self.api, self.run_state = 0, api, run_state
        labels = {"metadata": {"name": "ganvas-1"}}
        api.get[in_namespace("trainer.kubeflow.org/v1alpha1", "kubeflow", "trainjobs")] = lambda query: (
            {"items": [labels] if query == {"labelSelector": "ganvas/pipeline-run=run-1"} else []}
        )
        api.get[in_namespace("v1", "kubeflow", "pods")] = self.pods
        api.get[in_namespace("jobset.x-k8s.io/v1alpha2", "kubeflow", "jobsets", "ganvas-1")] = lambda _: (
            labels | {"status": {"restarts": self.restarts}}
        )
        api.get["/apis/v2beta1/runs/run-1"] = lambda _: {"state": self.run_state}
        api.on_delete = self.restart

    def pods(self, query: dict[str, str]) -> Any:
        if query != {"labelSelector": "jobset.sigs.k8s.io/jobset-name=ganvas-1"}:
            return {"items": []}
        names = [f"ganvas-1-node-0-{index}-{self.restarts}" for index in range(2)]
        return {"items": [{"metadata": {"name": name}, "status": {"phase": "Running"}} for name in reversed(names)]}

    def restart(self) -> None:
        self.restarts += 1


def test_a_node_is_lost_and_the_job_begins_again(api: Api, kubectl: Kubectl) -> None:
    cluster, looks = _Cluster(api), iter(["there is none", "there is none", ""])

    def no_checkpoint() -> str:
        assert api.deleted == [], "a node is lost only then"
        return next(looks)

    Training(kubectl, api.address, "run-1").lose_a_node(no_checkpoint)
    assert list(looks) == []
    lost = in_namespace("v1", "kubeflow", "pods", "ganvas-1-node-0-1-0")
    assert api.deleted == [(lost, {"gracePeriodSeconds": "0"})]
    assert cluster.restarts == 1


def test_no_checkpoint_is_waited_for_once_the_run_is_over(api: Api, kubectl: Kubectl) -> None:
    cluster = _Cluster(api)

    def no_checkpoint() -> str:
        cluster.run_state = "FAILED"
        return "there is none"

    with pytest.raises(Hopeless, match="run-1 ended as FAILED too early"):
        Training(kubectl, api.address, "run-1").lose_a_node(no_checkpoint)
    assert api.deleted == []


def test_the_newest_whole_checkpoint_is_the_buckets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A bucket of its own: all servers of one process hold the same buckets.
    monkeypatch.setitem(SURROUNDINGS, "checkpoint-uri", "s3://kind-checkpoints/checkpoints")
    (tmp_path / "s3.env").write_text("AWS_ACCESS_KEY_ID=key\nAWS_SECRET_ACCESS_KEY=a=b\n")
    with running_s3() as address:
        checkpoints = Checkpoints(address, tmp_path)
        with pytest.raises(StepFailed, match="S3 does not answer"):
            checkpoints.missing()
        s3 = client(address)
        s3.create_bucket(Bucket="kind-checkpoints")
        assert checkpoints.missing() == "there is none"
        for key in ("000000008000/weights.safetensors", "dataset/checkpoint.json", "000000004000/checkpoint.json"):
            s3.put_object(Bucket="kind-checkpoints", Key=f"checkpoints/abc/{key}", Body=b"{}")
        assert (checkpoints.missing(), checkpoints.images_seen()) == ("", 4000)


def test_no_node_is_waited_for_once_the_run_is_over(api: Api, kubectl: Kubectl) -> None:
    _Cluster(api, run_state="FAILED")
    with pytest.raises(Hopeless, match="run-1 ended as FAILED too early"):
        Training(kubectl, api.address, "run-1").lose_a_node(lambda: "")
    assert api.deleted == []


def test_pods_that_do_not_run_do_not_train() -> None:
    pods = [
        {"metadata": {"name": name}, "status": {"phase": phase}} for name, phase in (("b", "Running"), ("a", "Pending"))
    ]
    assert running_nodes({"items": [*pods, {"metadata": {"name": "c"}}]}) == ["b"]
    assert not_restarted({"metadata": {"name": "j"}}) == "j was not restarted"
