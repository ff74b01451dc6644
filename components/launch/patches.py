"""What a TrainJob changes of its TrainingRuntime: where its pods run, and as whom."""

from __future__ import annotations

from typing import Any

from components.cluster import ClusterSettings

NODE_JOB = "node"
"""The replicated job of the nodes in a TrainingRuntime."""


def runtime_patches(settings: ClusterSettings, *, accelerators_per_node: int) -> list[dict[str, Any]]:
    """``spec.runtimePatches`` (Kubeflow Trainer 2.2 and later); empty where nothing is changed.

    A patch's tolerations stand in the place of the runtime's: those of its accelerators are said again.

    Args:
        settings: how nodes are started.
        accelerators_per_node: 0 for none.
    """
    machines = settings.machines
    pod: dict[str, Any] = {}
    if settings.service_account:
        pod["serviceAccountName"] = settings.service_account
    if machines.node_selector:
        pod["nodeSelector"] = machines.node_selector
    if machines.tolerations:
        accelerators = {"key": machines.accelerator_type, "operator": "Exists", "effect": "NoSchedule"}
        pod["tolerations"] = [*([accelerators] if accelerators_per_node else []), *machines.tolerations]
    if not pod:
        return []
    job = {"name": NODE_JOB, "template": {"spec": {"template": {"spec": pod}}}}
    return [{"manager": "ganvas", "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [job]}}}}]
