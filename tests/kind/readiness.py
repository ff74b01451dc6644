"""When a part of the cluster is ready: what is still missing, read out of the API's own documents."""

from __future__ import annotations

from typing import Any

from tests.kind.kubectl import Kubectl, in_namespace

Document = dict[str, Any]


def not_established(crd: Document) -> str:
    """What keeps a CustomResourceDefinition from being used."""
    conditions = {entry["type"]: entry["status"] for entry in crd.get("status", {}).get("conditions", [])}
    return "" if conditions.get("Established") == "True" else f"{crd['metadata']['name']} is not established"


def without_ca_bundle(configurations: Document) -> str:
    """Webhooks that would be called without trust in their certificate; each call of theirs would fail."""
    missing = [
        f"{configuration['metadata']['name']}/{webhook['name']}"
        for configuration in configurations["items"]
        for webhook in configuration.get("webhooks", [])
        if not webhook["clientConfig"].get("caBundle")
    ]
    return f"no caBundle in {', '.join(missing)}" if missing else ""


def not_available(workload: Document) -> str:
    """What a Deployment or StatefulSet lacks of the replicas that it should have, of its newest template."""
    spec, status, metadata = workload["spec"], workload.get("status", {}), workload["metadata"]
    wanted = spec.get("replicas", 1)
    if status.get("observedGeneration", 0) < metadata.get("generation", 0):
        return f"{metadata['name']} was not looked at yet"
    ready = min(status.get("readyReplicas", 0), status.get("updatedReplicas", 0))
    return "" if ready >= wanted else f"{metadata['name']} has {ready} of {wanted} replicas"


def crd_established(kubectl: Kubectl, name: str) -> str:
    """As :func:`not_established`, asked of the cluster."""
    return not_established(kubectl.read(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"))


def webhooks_trusted(kubectl: Kubectl) -> str:
    """As :func:`without_ca_bundle`, of all webhooks of the cluster."""
    group = "/apis/admissionregistration.k8s.io/v1"
    found = [
        without_ca_bundle(kubectl.read(f"{group}/{kind}"))
        for kind in ("validatingwebhookconfigurations", "mutatingwebhookconfigurations")
    ]
    return "; ".join(missing for missing in found if missing)


def all_available(kubectl: Kubectl, namespace: str, kind: str = "deployments") -> str:
    """As :func:`not_available`, of all Deployments (or StatefulSets) of a namespace, of which there is at least one."""
    items = kubectl.read(in_namespace("apps/v1", namespace, kind))["items"]
    if not items:
        return f"no {kind} in {namespace}"
    return "; ".join(missing for item in items if (missing := not_available(item)))
