"""Manifests against what the cluster's API takes: no field that is unknown, no value of another type."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pydantic
from kubeflow_trainer_api.models.trainer_v1alpha1_training_runtime import TrainerV1alpha1TrainingRuntime

from tests.deploy.rendered import Document

KUBERNETES = "1.36"
"""As the node image of tests/kind has it."""
_SCHEMAS = Path(__file__).with_name("schemas")


def problems(document: Document) -> list[str]:
    """What is wrong with a manifest; empty if nothing is."""
    match document.get("apiVersion", ""), document.get("kind", ""):
        case "trainer.kubeflow.org/v1alpha1", "TrainingRuntime":
            return _training_runtime(document)
        case "monitoring.coreos.com/v1", "ServiceMonitor":
            return _by_schema(document, "service_monitor") + _metadata(document)
        case "monitoring.coreos.com/v1", "PodMonitor":
            return _by_schema(document, "pod_monitor") + _metadata(document)
        case "serving.kserve.io/v1beta1", "InferenceService":
            return _inference_service(document)
        case _:
            return _core(document)


def _core(document: Document) -> list[str]:
    try:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'.'.join(str(part) for part in error.path)}: {error.message}"]
    except kubernetes_validate.SchemaNotFoundError:
        return [f"Kubernetes {KUBERNETES} has no {document['kind']} of {document['apiVersion']}"]
    return []


def _metadata(document: Document) -> list[str]:
    return _core({"apiVersion": "v1", "kind": "ConfigMap", "metadata": document["metadata"]})


def _training_runtime(document: Document) -> list[str]:
    """By Kubeflow's own models, and each pod as Kubernetes knows it. The models drop what they do not know."""
    try:
        understood = TrainerV1alpha1TrainingRuntime.from_dict(document)
    except pydantic.ValidationError as error:
        return [f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}" for first in error.errors()]
    assert understood is not None
    found = [f"{path}: not a field of TrainingRuntime" for path in _missing(document, understood.to_dict())]
    for job in document["spec"]["template"]["spec"]["replicatedJobs"]:
        name = {"name": job["name"], **job["template"].get("metadata", {})}
        found += _core({"apiVersion": "batch/v1", "kind": "Job", "metadata": name, "spec": job["template"]["spec"]})
    return found + _metadata(document)


def _missing(written: Any, understood: Any, path: str = "") -> list[str]:
    """Where what was understood lacks something of what was written."""
    match written:
        case dict():
            return [
                lost
                for key, value in written.items()
                for lost in (
                    _missing(value, understood[key], f"{path}.{key}".lstrip("."))
                    if isinstance(understood, dict) and key in understood
                    else [f"{path}.{key}".lstrip(".")]
                )
            ]
        case list():
            if not isinstance(understood, list) or len(written) != len(understood):
                return [path]
            pairs = enumerate(zip(written, understood, strict=True))
            return [lost for index, (one, other) in pairs for lost in _missing(one, other, f"{path}[{index}]")]
        case _:
            return [] if written == understood else [path]


def _inference_service(document: Document) -> list[str]:
    """KServe's own fields by its models, the rest of a predictor as the PodSpec that it is."""
    found = _by_schema(document, "inference_service") + _metadata(document)
    own = _schema("inference_service")["$defs"]["predictor"]["properties"]
    pod = {key: value for key, value in document["spec"]["predictor"].items() if key not in own}
    return found + _core({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "predictor"}, "spec": pod})


def _by_schema(document: Document, name: str) -> list[str]:
    errors = jsonschema.Draft202012Validator(_schema(name)).iter_errors(document)
    return [f"{error.json_path}: {error.message}" for error in errors]


@functools.cache
def _schema(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((_SCHEMAS / f"{name}.json").read_text())
    return schema
