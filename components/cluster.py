"""What the train step is told about its cluster, for training on several nodes."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, ValidationError

from components.environment import CLUSTER
from models.config import Settings
from models.errors import ConfigurationError


class ClusterSettings(Settings):
    """How a node of several is started. Travels as JSON in the variable ``GANVAS_CLUSTER``."""

    image: str = Field(min_length=1, description="of the nodes; the same as the step's")
    runtime: str = Field(
        default="", description="name of a TrainingRuntime; empty: ganvas-cpu, or ganvas-gpu with accelerators"
    )
    secrets: dict[str, str] = Field(
        default={}, description="environment variable -> secret that has a key of the variable's name"
    )
    environment: dict[str, str] = Field(default={}, description="plain variables of the nodes")
    accelerator_type: str = Field(default="nvidia.com/gpu", description="resource name")
    accelerators_per_node: int | None = Field(
        default=None, ge=0, description="asked for by each node; None: one for each process, if this step sees any"
    )
    timeout_seconds: int = Field(default=86_400, ge=1, description="of the whole training")
    progress_timeout_seconds: int = Field(default=1_800, ge=1, description="longest time without any sign of life")
    cpus_per_node: str = Field(default="2", description="Kubernetes quantity")
    memory_per_node: str = Field(default="8Gi", description="Kubernetes quantity")


def cluster_settings(environment: Mapping[str, str]) -> ClusterSettings | None:
    """What the environment says of the cluster; None where it says nothing.

    Raises:
        ConfigurationError: if it is not valid.
    """
    text = environment.get(CLUSTER, "")
    if not text:
        return None
    try:
        return ClusterSettings.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(
            f"{CLUSTER} is not valid: {where + ': ' if where else ''}{first['msg']}.",
            "Compile the pipeline again with this version.",
        ) from error
