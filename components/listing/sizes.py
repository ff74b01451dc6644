"""What the training step's own pod asks of the cluster."""

from __future__ import annotations

import re

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
