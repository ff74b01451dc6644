"""Pods, wherever a manifest has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.deploy.rendered import Document


@dataclass(frozen=True)
class PodTemplate:
    """A pod that a manifest asks for.

    Attributes:
        where: the manifest's kind and name.
        namespace: that it runs in.
        labels: of the pod.
        spec: its PodSpec.
    """

    where: str
    namespace: str
    labels: dict[str, str]
    spec: dict[str, Any]

    @property
    def containers(self) -> list[dict[str, Any]]:
        """All of them: the ordinary ones, and those that run before."""
        return [*self.spec["containers"], *self.spec.get("initContainers", [])]


def pod_templates(documents: list[Document]) -> list[PodTemplate]:
    """The pods of all manifests."""
    return [template for document in documents for template in _of(document)]


def _of(document: Document) -> Iterator[PodTemplate]:
    kind, metadata = document["kind"], document["metadata"]
    where, namespace = f"{kind} {metadata['name']}", metadata.get("namespace", "")
    match kind:
        case "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job":
            template = document["spec"]["template"]
            yield PodTemplate(where, namespace, template.get("metadata", {}).get("labels", {}), template["spec"])
        case "TrainingRuntime":
            for job in document["spec"]["template"]["spec"]["replicatedJobs"]:
                template = job["template"]["spec"]["template"]
                labels = template.get("metadata", {}).get("labels", {})
                yield PodTemplate(f"{where} {job['name']}", namespace, labels, template["spec"])
        case "InferenceService":
            predictor = document["spec"]["predictor"]
            yield PodTemplate(where, namespace, predictor.get("labels", {}), predictor)
        case _:
            # A kind with a pod in it that is not known here would pass every law unseen.
            assert "containers" not in str(document), f"{where} has containers, and its pods are not looked at"


def environment(container: dict[str, Any], config_maps: dict[str, dict[str, str]]) -> dict[str, str]:
    """What a container is told in plain text: its own variables before those of ConfigMaps."""
    values: dict[str, str] = {}
    for source in container.get("envFrom", []):
        values |= config_maps[source["configMapRef"]["name"]]
    own = {variable["name"]: variable for variable in container.get("env", [])}
    values |= {name: variable["value"] for name, variable in own.items() if "value" in variable}
    return {name: value for name, value in values.items() if name not in own or "value" in own[name]}


def config_maps(documents: list[Document]) -> dict[str, dict[str, str]]:
    """The data of the ConfigMaps, by their names."""
    return {
        document["metadata"]["name"]: document.get("data", {})
        for document in documents
        if document["kind"] == "ConfigMap"
    }
