"""What the training step's own pod asks of the cluster, and what further machines do."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError

from components.artifacts import first_problem
from components.cluster import Machines
from models.errors import ConfigurationError

QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
"""A Kubernetes quantity."""
WATCHING = {"accelerators": "0", "cpus": "500m", "memory": "2Gi"}
"""Enough for a pod that starts a training on other machines and watches it."""


def require_quantity(name: str, value: str) -> None:
    """Refuse a size that no pod can be started with.

    Raises:
        ConfigurationError: naming it.
    """
    if not QUANTITY.fullmatch(value):
        raise ConfigurationError(f"{name}={value} is no Kubernetes quantity.", "Write for instance 4, 500m or 16Gi.")


def sizes_of_step(nodes: int, accelerators: int, cpus: str, memory: str) -> dict[str, str]:
    """Accelerators, CPUs and memory of the step's pod: training's own where it trains, few where it only watches.

    Texts, all of them: of a number of accelerators the engine's driver reads nothing, and leaves it out without a word.

    Args:
        nodes: machines that train together; more than one are pods of their own.
        accelerators: of each of them.
        cpus: of each, a Kubernetes quantity.
        memory: likewise.

    Raises:
        ConfigurationError: for what is no quantity.
    """
    require_quantity("training_cpus", cpus)
    require_quantity("training_memory", memory)
    return WATCHING if nodes > 1 else {"accelerators": str(accelerators), "cpus": cpus, "memory": memory}


def machines_of(nodes: int, **asked: Any) -> str:
    """What each of several machines is asked for, as the train step takes it; empty for one, whose pod says it itself.

    Args:
        nodes: machines that train together.
        asked: the fields of :class:`components.cluster.Machines`.

    Raises:
        ConfigurationError: naming the parameter that is not valid.
    """
    if nodes == 1:
        return ""
    try:
        return Machines(**asked).model_dump_json()
    except ValidationError as error:
        raise ConfigurationError(
            f"What the machines are asked for is not valid: {first_problem(error)}.",
            'Write for instance tolerations=[{"key": "gpu", "operator": "Exists"}] and node_selector={"pool": "a100"}.',
        ) from error
