"""What the train step is told of the cluster that it may start further machines on."""

from __future__ import annotations

from pydantic import Field

from models.config import Settings


class ClusterSettings(Settings):
    """How a machine of a distributed training is started; the value of ``GANVAS_CLUSTER``, as JSON.

    ``secrets`` names for each environment variable the Secret that holds it, under the variable's own name.
    """

    image: str
    namespace: str = ""
    """Empty for the pod's own."""
    runtime: str = ""
    """A TrainingRuntime; empty for ``ganvas-cpu``, or ``ganvas-gpu`` with accelerators."""
    secrets: dict[str, str] = Field(default_factory=dict)
    environment: dict[str, str] = Field(default_factory=dict)
    accelerator_type: str = "nvidia.com/gpu"
    timeout_seconds: int = 86400
    progress_timeout_seconds: int = 1800
    cpus_per_node: str = "2"
    memory_per_node: str = "8Gi"
