"""The TrainJob of one training, as a pure function of its settings."""

from __future__ import annotations

from typing import Any

from components.artifacts import sha256_of_json
from components.cluster import ClusterSettings
from components.environment import JOB
from components.launch.labels import labels_of
from components.launch.patches import runtime_patches
from components.train.worker import Job

SPEC_ANNOTATION = "ganvas/spec-sha256"
"""Of the whole body, by which a retried step knows its own job."""
COMMAND = ["python", "-m", "components.train.node"]
DEADLINE_MARGIN_SECONDS = 600
"""The launcher speaks first; the deadline is for a job whose launcher was killed and never came back."""


def job_name(pipeline_run_id: str, durable_uri: str) -> str:
    """The same for every retry of a step, another for every other run: DNS label of 27 characters.

    A node's host name is ``<name>-node-0-<index>`` and its pod's adds 6 characters; all stay below 63.
    """
    return f"ganvas-{sha256_of_json([pipeline_run_id, durable_uri])[:20]}"


def train_job(
    name: str,
    job: Job,
    settings: ClusterSettings,
    *,
    accelerators_per_node: int,
    disk_gibibytes: int,
    environment: dict[str, str],
) -> dict[str, Any]:
    """The body that is sent to the API.

    The job's document travels in an environment variable and not by way of the bucket: it is a few kB, whole or not
    there, seen by ``kubectl get -o yaml``, part of what adoption compares, and leaves nothing to remove.

    Args:
        name: of the TrainJob.
        job: what every node trains; its ``output`` is each node's own.
        settings: how nodes are started.
        accelerators_per_node: 0 for none.
        disk_gibibytes: of each node's machine. Asked for and no limit: what the data do not need is others'.
        environment: further plain variables; those of ``settings`` win.
    """
    resources = job.recipe.resources
    runtime = settings.runtime or ("ganvas-gpu" if accelerators_per_node else "ganvas-cpu")
    machines = settings.machines
    limits = {"memory": machines.memory}
    if accelerators_per_node:
        limits[machines.accelerator_type] = str(accelerators_per_node)
    # Kubernetes expands $(NAME) within values: JSON has another way to write the sign.
    plain = {**environment, **settings.environment, JOB: job.model_dump_json().replace("$", "\\u0024")}
    trainer = {
        "numNodes": resources.nodes,
        # Said even where it is 1: without GPUs Kubeflow Trainer starts a process for every CPU.
        "numProcPerNode": resources.processes_per_node or accelerators_per_node or 1,
        "image": settings.image,
        "command": COMMAND,
        # In the place of what the runtime says, as a whole.
        "resourcesPerNode": {
            "requests": {"cpu": machines.cpus, "ephemeral-storage": f"{disk_gibibytes}Gi", **limits},
            "limits": limits,
        },
        "env": [
            *({"name": key, "value": value} for key, value in sorted(plain.items()) if key not in settings.secrets),
            *(
                {"name": key, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
                for key, secret in sorted(settings.secrets.items())
            ),
        ],
    }
    spec: dict[str, Any] = {
        "runtimeRef": {"apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": runtime},
        "activeDeadlineSeconds": settings.timeout_seconds + DEADLINE_MARGIN_SECONDS,
        "trainer": trainer,
    }
    if patches := runtime_patches(settings, accelerators_per_node=accelerators_per_node):
        spec["runtimePatches"] = patches
    labels = labels_of(job.pipeline_run_id)
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": name, "labels": labels, "annotations": {SPEC_ANNOTATION: sha256_of_json(spec)}},
        "spec": spec,
    }


def is_ours(found: dict[str, Any], body: dict[str, Any]) -> bool:
    """Whether a TrainJob was made by this run of the pipeline, whatever it trains."""
    labels, mine = found["metadata"].get("labels") or {}, body["metadata"]["labels"]
    return all(labels.get(key) == value for key, value in mine.items())


def is_same(found: dict[str, Any], body: dict[str, Any]) -> bool:
    """Whether a TrainJob of ours trains exactly this."""
    annotations = found["metadata"].get("annotations") or {}
    return bool(annotations.get(SPEC_ANNOTATION) == body["metadata"]["annotations"][SPEC_ANNOTATION])
