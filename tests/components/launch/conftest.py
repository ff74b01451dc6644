"""A fake cluster, and a training to launch on it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.components.launch.fake_api import FakeCluster, fake_cluster
from tests.components.launch.faults import World
from tests.once import made_once


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCluster]:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    with fake_cluster(tmp_path / "kubeconfig") as running:
        yield running


@pytest.fixture(scope="session")
def many_shards(artifacts: Path) -> Path:
    """A ring in several shards, as several nodes need."""
    from components.prepare.core import prepare
    from components.prepare.settings import DataSettings

    settings = DataSettings(source="mixture:ring8", rows=2_000, shard_rows=300)
    return made_once(artifacts / "many-shards", partial(prepare, settings))


@pytest.fixture
def world(cluster: FakeCluster, tiny: Any, many_shards: Path, tmp_path: Path) -> World:
    run = tiny("ring")
    return World(cluster, run.recipe, many_shards, run.checkpoint, tmp_path)
