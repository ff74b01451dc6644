"""The number of cores is one question with one answer, on every system."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from components.cores import available_cores

ROOT = Path(__file__).resolve().parent.parent.parent


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
