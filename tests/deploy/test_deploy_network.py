"""Who reaches whom: what the parts need is let through, and nothing else."""

from __future__ import annotations

import pytest

from tests.deploy.network import Peer, Policies
from tests.deploy.pods import pod_templates
from tests.deploy.rendered import OVERLAYS, overlay

NAME = "app.kubernetes.io/name"
SERVING = Peer("ganvas", {NAME: "ganvas-serving"})
MLFLOW = Peer("mlflow", {NAME: "mlflow"})
POSTGRES = Peer("mlflow", {NAME: "postgres"})
S3 = Peer("ganvas-storage", {NAME: "s3"})
STEP = Peer("kubeflow", {"pipeline/runid": "1"})
DNS = Peer("kube-system", {"k8s-app": "kube-dns"})
NODES_DNS = Peer("", address="169.254.20.10")
OUTSIDE = Peer("")
STRANGER = Peer("strangers", {NAME: "ganvas-serving"})
CALLER = Peer("monitoring")
COLLECTOR = Peer("observability")

LABELLED = {"monitoring": {"ganvas/calls-serving": "true"}, "observability": {"ganvas/collects-traces": "true"}}

EVERYWHERE = [
    (SERVING, DNS, 53, "UDP", True),
    (MLFLOW, DNS, 53, "UDP", True),
    (MLFLOW, DNS, 53, "TCP", True),
    (SERVING, NODES_DNS, 53, "UDP", True),
    (MLFLOW, NODES_DNS, 53, "TCP", True),
    (SERVING, OUTSIDE, 53, "UDP", False),
    (MLFLOW, OUTSIDE, 53, "UDP", False),
    (SERVING, NODES_DNS, 80, "TCP", False),
    (SERVING, COLLECTOR, 4318, "TCP", True),
    (SERVING, COLLECTOR, 443, "TCP", False),
    (SERVING, CALLER, 4318, "TCP", False),
    (MLFLOW, COLLECTOR, 4318, "TCP", False),
    (SERVING, MLFLOW, 5000, "TCP", True),
    (STEP, MLFLOW, 5000, "TCP", True),
    (CALLER, SERVING, 8000, "TCP", True),
    (CALLER, SERVING, 8001, "TCP", True),
    (SERVING, SERVING, 8000, "TCP", False),
    (STRANGER, SERVING, 8000, "TCP", False),
    (STRANGER, MLFLOW, 5000, "TCP", False),
    (OUTSIDE, SERVING, 8000, "TCP", False),
    (OUTSIDE, MLFLOW, 5000, "TCP", False),
    (CALLER, SERVING, 8002, "TCP", False),
    (MLFLOW, SERVING, 8000, "TCP", False),
    (SERVING, STEP, 8000, "TCP", False),
    (SERVING, OUTSIDE, 80, "TCP", False),
    (MLFLOW, OUTSIDE, 80, "TCP", False),
]
KIND = [
    *EVERYWHERE,
    (SERVING, S3, 8333, "TCP", True),
    (MLFLOW, S3, 8333, "TCP", True),
    (STEP, S3, 8333, "TCP", True),
    (S3, DNS, 53, "UDP", True),
    (S3, NODES_DNS, 53, "UDP", True),
    (MLFLOW, POSTGRES, 5432, "TCP", True),
    (SERVING, POSTGRES, 5432, "TCP", False),
    (STEP, POSTGRES, 5432, "TCP", False),
    (STRANGER, S3, 8333, "TCP", False),
    (S3, OUTSIDE, 443, "TCP", False),
    (POSTGRES, OUTSIDE, 443, "TCP", False),
    (SERVING, OUTSIDE, 443, "TCP", False),
    (MLFLOW, OUTSIDE, 443, "TCP", False),
]
PRODUCTION = [
    *EVERYWHERE,
    (SERVING, OUTSIDE, 443, "TCP", True),
    (MLFLOW, OUTSIDE, 443, "TCP", True),
    (MLFLOW, OUTSIDE, 5432, "TCP", True),
    (SERVING, OUTSIDE, 5432, "TCP", False),
]


@pytest.mark.parametrize("name", OVERLAYS)
def test_who_reaches_whom(name: str) -> None:
    policies = Policies(overlay(name))
    policies.namespaces |= LABELLED
    expected = KIND if name == "kind" else PRODUCTION
    wrong = [
        (source, destination, port)
        for source, destination, port, protocol, reaches in expected
        if policies.let_through(source, destination, port, protocol) != reaches
    ]
    assert wrong == []


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_pod_that_nobody_names_is_shut_off(name: str) -> None:
    documents = overlay(name)
    policies = Policies(documents)
    for document in documents:
        if document["kind"] == "Namespace":
            newcomer = Peer(document["metadata"]["name"], {NAME: "newcomer"})
            assert not policies.let_through(newcomer, OUTSIDE, 443)
            assert not policies.let_through(STRANGER, newcomer, 8000)


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_port_that_a_service_names_is_let_in(name: str) -> None:
    documents = overlay(name)
    policies, callers = Policies(documents), 0
    policies.namespaces |= LABELLED
    inside = [STEP, SERVING, MLFLOW, CALLER]
    for service in [document for document in documents if document["kind"] == "Service"]:
        for pod in pod_templates(documents):
            selected = service["spec"]["selector"].items() <= pod.labels.items()
            if not selected or pod.namespace != service["metadata"]["namespace"]:
                continue
            opened = {port["name"]: port["containerPort"] for c in pod.containers for port in c.get("ports", [])}
            for port in service["spec"]["ports"]:
                number, callee = opened[port["targetPort"]], Peer(pod.namespace, pod.labels)
                reached = [peer for peer in inside if policies.let_through(peer, callee, number)]
                assert reached, f"nobody reaches {service['metadata']['name']} on {number}"
                callers += len(reached)
    assert callers


def _without(name: str) -> Policies:
    return Policies([document for document in overlay("kind") if document["metadata"]["name"] != name])


def test_a_policy_that_is_gone_is_missed() -> None:
    assert not _without("mlflow-to-postgres").let_through(MLFLOW, POSTGRES, 5432)
    assert not _without("postgres-from-mlflow").let_through(MLFLOW, POSTGRES, 5432)
    assert _without("mlflow").let_through(STRANGER, MLFLOW, 5000)
