"""What the train step is told about its cluster, for training on several nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, ValidationError

from components.artifacts import first_problem
from components.environment import CLUSTER
from models.config import Settings
from models.errors import ConfigurationError

Toleration = dict[Literal["key", "operator", "value", "effect", "tolerationSeconds"], int | str]
"""As Kubernetes spells it."""


class Machines(Settings):
    """What each of several nodes asks of the cluster. The run's own parameters; travels to the train step as JSON."""

    cpus: str = Field(default="2", description="Kubernetes quantity")
    memory: str = Field(default="8Gi", description="Kubernetes quantity")
    accelerator_type: str = Field(default="nvidia.com/gpu", description="resource name")
    node_selector: dict[str, str] = Field(default={}, description="labels of the machines")
    tolerations: list[Toleration] = Field(default=[], description="taints of the machines")


class ClusterSettings(Settings):
    """How a node of several is started. Travels as JSON in the variable ``GANVAS_CLUSTER``."""

    image: str = Field(min_length=1, description="of the nodes; the same as the step's")
    runtime: str = Field(
        default="", description="name of a TrainingRuntime; empty: ganvas-cpu, or ganvas-gpu with accelerators"
    )
    service_account: str = Field(default="", description="of the nodes' pods; empty: the TrainingRuntime's")
    secrets: dict[str, str] = Field(
        default={}, description="environment variable -> secret that has a key of the variable's name"
    )
    environment: dict[str, str] = Field(default={}, description="plain variables of the nodes")
    timeout_seconds: int = Field(default=86_400, ge=1, description="of the whole training")
    progress_timeout_seconds: int = Field(default=1_800, ge=1, description="longest time without any sign of life")
    machines: Machines = Field(default=Machines(), description="where the run's parameters do not say them")


def cluster_settings(environment: Mapping[str, str], machines: str = "") -> ClusterSettings | None:
    """What the environment says of the cluster; None where it says nothing.

    Args:
        environment: of the train step.
        machines: JSON of :class:`Machines`, from the run's parameters; empty for those of the environment.

    Raises:
        ConfigurationError: if one of them is not valid.
    """
    text = environment.get(CLUSTER, "")
    if not text:
        return None
    try:
        settings = ClusterSettings.model_validate_json(text)
        if machines:
            settings = settings.model_copy(update={"machines": Machines.model_validate_json(machines)})
    except ValidationError as error:
        raise ConfigurationError(
            f"{CLUSTER} is not valid: {first_problem(error)}.", "Compile the pipeline again with this version."
        ) from error
    return settings
