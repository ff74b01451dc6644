"""What the training step's pod asks for: training's own sizes where it trains, few where it only watches."""

from __future__ import annotations

import pytest

from components.listing.sizes import WATCHING, require_quantity, sizes_of_step
from models.errors import ConfigurationError


def test_one_machine_trains_in_the_steps_own_pod() -> None:
    assert sizes_of_step(1, 2, "8", "16Gi") == {"accelerators": "2", "cpus": "8", "memory": "16Gi"}
    assert all(isinstance(text, str) for text in sizes_of_step(1, 0, "4", "1Gi").values())


def test_several_machines_are_watched_from_a_small_pod() -> None:
    assert sizes_of_step(2, 8, "64", "256Gi") == WATCHING


@pytest.mark.parametrize("quantity", ["4", "0.5", "500m", "16Gi", "2G", "128974848"])
def test_quantities_of_kubernetes_are_taken(quantity: str) -> None:
    require_quantity("memory", quantity)


@pytest.mark.parametrize("quantity", ["", "four", "16 Gi", "16GiB", "-1", "1e3", "4\n"])
@pytest.mark.parametrize("nodes", [1, 2])
def test_what_is_no_quantity_is_refused_by_name_however_many_machines(quantity: str, nodes: int) -> None:
    with pytest.raises(ConfigurationError, match="training_memory="):
        sizes_of_step(nodes, 0, "4", quantity)
    with pytest.raises(ConfigurationError, match="training_cpus="):
        sizes_of_step(nodes, 0, quantity, "1Gi")
