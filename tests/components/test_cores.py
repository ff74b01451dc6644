"""The number of cores is one question with one answer, on every system."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from components import cores as ours
from components.cores import available_cores, quota_cores
from serving import cores as servings

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def quota(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the container's quota is read; there is none unless a test writes it."""
    for module in (ours, servings):
        monkeypatch.setattr(module, "_QUOTA", tmp_path / "cpu.max")
    return tmp_path / "cpu.max"


@pytest.mark.parametrize(
    ("cpu_max", "cores"),
    [("max 100000\n", 8), ("200000 100000\n", 2), ("150000 100000", 2), ("1000 100000", 1), ("1600000 100000", 8)],
)
def test_a_containers_limit_counts_for_training_as_for_serving(
    monkeypatch: pytest.MonkeyPatch, quota: Path, cpu_max: str, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    quota.write_text(cpu_max)
    assert available_cores() == servings.available_cores() == cores


@pytest.mark.parametrize("cpu_max", ["", "max", "0 100000", "100000 0", "-1 100000", "a b"])
def test_what_sets_no_quota_leaves_the_cores(cpu_max: str) -> None:
    assert quota_cores(cpu_max, 8) == servings.quota_cores(cpu_max, 8) == 8


def test_an_affinity_counts_where_the_system_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 5}, raising=False)
    assert available_cores() == 3


@pytest.mark.parametrize(("machine", "cores"), [(12, 12), (None, 1)])
def test_without_affinities_the_machine_counts(
    monkeypatch: pytest.MonkeyPatch, machine: int | None, cores: int
) -> None:
    """As on macOS, whose ``os`` has no ``sched_getaffinity`` at all."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: machine)
    assert available_cores() == cores


def test_nobody_else_asks_the_system() -> None:
    asked = re.compile(r"sched_getaffinity|cpu_count")
    files = [path for room in ("models", "components", "pipelines") for path in (ROOT / room).rglob("*.py")]
    assert [path.name for path in files if asked.search(path.read_text())] == ["cores.py"]
