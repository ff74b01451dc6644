"""Training on several machines: each fetches its own shards from a bucket, and all learn as one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from components.prepare.core import prepare
from components.prepare.dataset import Share, open_split, read_manifest, read_share
from components.prepare.fetch import fetch_share, fetched_dataset
from components.prepare.settings import DataSettings
from components.recipe import Recipe, override
from components.train.data import TrainingData
from components.train.processes import Processes
from models.errors import ArtifactError, ConfigurationError
from tests.components.storage.server import client

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sharded") / "data"
    prepare(DataSettings(source="mixture:ring8", rows=2_000, shard_rows=300), place)
    return place


@pytest.fixture
def tiny_ring(tiny_recipe: Callable[[str], Recipe]) -> Recipe:
    return tiny_recipe("ring")


@pytest.fixture(scope="module")
def shared_out(sharded: Path, s3_server: str) -> str:
    direct = client(s3_server)
    direct.create_bucket(Bucket="datasets")
    for path in sharded.rglob("*"):
        if path.is_file():
            direct.upload_file(str(path), "datasets", f"ring/{path.relative_to(sharded).as_posix()}")
    return "s3://datasets/ring"


@pytest.mark.usefixtures("s3")
def test_every_machine_has_its_own_shards_and_no_others(shared_out: str, sharded: Path, tmp_path: Path) -> None:
    manifest = read_manifest(sharded)
    whole, _ = open_split(sharded, manifest, "train").whole()
    parts = []
    for index in range(3):
        target = tmp_path / str(index)
        fetch_share(shared_out, target, Share(index=index, count=3))
        assert read_share(target) == Share(index=index, count=3)
        parts.append(open_split(target, read_manifest(target), "train", read_share(target)).whole()[0])
        validation = list((target / "shards").glob("validation-*"))
        assert bool(validation) == (index == 0)
        assert not list((target / "shards").glob("test-*"))
    assert sorted(map(bytes, np.concatenate(parts))) == sorted(map(bytes, whole))
    assert len({len(part) // 10 for part in parts}) <= 2


@pytest.mark.usefixtures("s3")
def test_what_is_there_is_not_fetched_again_and_what_is_damaged_is(shared_out: str, tmp_path: Path) -> None:
    manifest = fetch_share(shared_out, tmp_path, Share(index=1, count=2))
    first, second = (tmp_path / shard.samples for shard in manifest.splits["train"].shards[1::2][:2])
    before = first.stat().st_mtime_ns
    second.write_bytes(b"damaged")
    fetch_share(shared_out, tmp_path, Share(index=1, count=2))
    assert first.stat().st_mtime_ns == before
    assert second.read_bytes() != b"damaged"


def test_files_and_missing_places(sharded: Path, tmp_path: Path) -> None:
    fetch_share(f"file://{sharded}", tmp_path / "here", Share())
    assert (tmp_path / "here" / "manifest.json").read_bytes() == (sharded / "manifest.json").read_bytes()
    with pytest.raises(ArtifactError, match=r"manifest\.json is not there"):
        fetch_share(f"file://{tmp_path}/absent", tmp_path / "other", Share())
    with pytest.raises(ConfigurationError, match="5 training shards for 9 machines"):
        fetch_share(f"file://{sharded}", tmp_path / "nine", Share(index=0, count=9))


def test_something_else_under_its_name_is_refused(sharded: Path, tmp_path: Path) -> None:
    manifest = read_manifest(sharded)
    for path in sharded.rglob("*"):
        if path.is_file():
            target = tmp_path / "place" / path.relative_to(sharded)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    (tmp_path / "place" / manifest.splits["train"].shards[0].samples).write_bytes(b"another")
    with pytest.raises(ArtifactError, match="not what its manifest says"):
        fetch_share(f"file://{tmp_path}/place", tmp_path / "here", Share())
    assert not (tmp_path / "here" / "manifest.json").exists()


def test_machines_together_see_every_row_of_an_epoch_once(sharded: Path, tmp_path: Path, tiny_ring: Recipe) -> None:
    recipe = override(tiny_ring, {"training.batch_size": 8})
    rows: list[bytes] = []
    manifest = read_manifest(sharded)
    for index in range(2):
        fetch_share(f"file://{sharded}", tmp_path / str(index), Share(index=index, count=2))
        mine = len(open_split(tmp_path / str(index), manifest, "train", Share(index=index, count=2)))
        for rank in (2 * index, 2 * index + 1):
            data = TrainingData(tmp_path / str(index), recipe, Processes(rank, 4, CPU))
            for seen in range(0, 2 * mine, 8):
                (batch,) = data.batches(seen, 8, 0)
                assert len(batch) == 2
                rows += [bytes(sample.numpy()) for sample in batch.samples]
    assert len(set(rows)) >= manifest.splits["train"].rows - 8


def test_a_share_of_another_machine_is_refused(sharded: Path, tmp_path: Path, tiny_ring: Recipe) -> None:
    fetch_share(f"file://{sharded}", tmp_path, Share(index=1, count=2))
    with pytest.raises(ArtifactError, match="share 1 of 2"):
        TrainingData(tmp_path, tiny_ring, Processes(0, 2, CPU))


@pytest.mark.usefixtures("s3")
def test_a_bucket_is_fetched_once_for_all_processes_of_a_machine(
    shared_out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first = fetched_dataset(shared_out, Share())
    times = {path: path.stat().st_mtime_ns for path in (first / "shards").iterdir()}
    assert fetched_dataset(shared_out, Share()) == first
    assert {path: path.stat().st_mtime_ns for path in (first / "shards").iterdir()} == times
