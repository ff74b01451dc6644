"""Preparing the built-in digits: complete, split without leaks, independent of layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.artifacts import sha256_of_file
from components.prepare.core import prepare
from components.prepare.dataset import read_manifest, read_split
from components.prepare.manifest import PREVIEW_NAME, REJECTED_NAME
from components.prepare.settings import DataSettings
from components.prepare.splits import content_hash
from components.prepare.summary import summarise
from models.errors import ArtifactError, ConfigurationError

SPLITS = ("train", "validation", "test")


def hashes_of(directory: Path, split: str) -> set[bytes]:
    samples, _ = read_split(directory, read_manifest(directory), split)  # type: ignore[arg-type]
    return {content_hash(sample) for sample in samples}


def test_every_digit_is_in_exactly_one_of_three_splits(digits: Path) -> None:
    manifest = read_manifest(digits)
    assert {name: split.rows for name, split in manifest.splits.items()}.keys() == set(SPLITS)
    assert sum(split.rows for split in manifest.splits.values()) == 5_000 == manifest.listed
    assert manifest.rejected == 0
    parts = [hashes_of(digits, split) for split in SPLITS]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 5_000 - manifest.exact_duplicates


def test_the_rows_are_what_the_manifest_says(digits: Path) -> None:
    manifest = read_manifest(digits)
    assert manifest.sample_shape == [1, 28, 28]
    for name in SPLITS:
        samples, labels = read_split(digits, manifest, name)  # type: ignore[arg-type]
        assert samples.dtype == np.uint8
        assert samples.shape == (manifest.splits[name].rows, 1, 28, 28)  # type: ignore[index]
        counts = np.bincount(labels, minlength=10).tolist()
        assert counts == manifest.splits[name].rows_per_class  # type: ignore[index]
        for shard in manifest.splits[name].shards:  # type: ignore[index]
            assert sha256_of_file(digits / shard.samples) == shard.samples_sha256
            assert sha256_of_file(digits / shard.labels) == shard.labels_sha256


def test_every_class_is_split_in_about_the_same_shares(digits: Path) -> None:
    splits = read_manifest(digits).splits
    per_class = np.array([splits[name].rows_per_class for name in SPLITS])  # type: ignore[index]
    assert per_class.sum(axis=0).tolist() == [500] * 10
    expected = np.array([[350.0], [75.0], [75.0]])
    deviation = np.sqrt(expected * (1 - expected / 500))
    assert (np.abs(per_class - expected) < 4.5 * deviation).all()


def test_the_fingerprint_depends_on_content_and_shares_but_not_on_shards(digits: Path, tmp_path: Path) -> None:
    original = read_manifest(digits)
    sharded = prepare(DataSettings(shard_rows=700), tmp_path / "sharded")
    assert len(sharded.splits["train"].shards) == -(-sharded.splits["train"].rows // 700)
    assert sharded.fingerprint == original.fingerprint
    first, second = (read_split(place, read_manifest(place), "train") for place in (digits, tmp_path / "sharded"))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])
    assert prepare(DataSettings(test_share=0.2), tmp_path / "shares").fingerprint != original.fingerprint


def test_an_excluded_class_is_left_out_and_the_others_keep_their_splits(digits: Path, tmp_path: Path) -> None:
    manifest = prepare(DataSettings(excluded_classes=("4",)), tmp_path / "without")
    assert all(split.rows_per_class[4] == 0 for split in manifest.splits.values())
    assert sum(split.rows for split in manifest.splits.values()) == 4_500
    assert manifest.fingerprint != read_manifest(digits).fingerprint
    for split in SPLITS:
        assert hashes_of(tmp_path / "without", split) < hashes_of(digits, split)


def test_excluding_an_unknown_class_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="ten") as raised:
        prepare(DataSettings(excluded_classes=("ten",)), tmp_path / "out")
    assert "0, 1, 2" in raised.value.remedy


@pytest.mark.parametrize("channels", [1, 3])
def test_the_digits_can_be_resized_and_repeated_in_every_channel(tmp_path: Path, channels: int) -> None:
    manifest = prepare(DataSettings(image_size=16, channels=channels), tmp_path / "out")
    assert manifest.sample_shape == [channels, 16, 16]
    samples, _ = read_split(tmp_path / "out", manifest, "test")
    assert (samples == samples[:, :1]).all()


def test_a_preview_and_an_empty_list_of_rejections_lie_beside_it(digits: Path) -> None:
    assert (digits / PREVIEW_NAME).read_bytes().startswith(b"\x89PNG")
    assert (digits / REJECTED_NAME).read_bytes() == b""


def test_a_finished_dataset_is_not_overwritten(digits: Path) -> None:
    with pytest.raises(ArtifactError, match="finished"):
        prepare(DataSettings(image_size=16), digits)


def test_an_unchanged_source_is_no_work(digits: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in digits.rglob("*")}
    assert prepare(DataSettings(partitions=3), digits) == read_manifest(digits)
    assert {path: path.stat().st_mtime_ns for path in digits.rglob("*")} == before


@pytest.mark.parametrize("damage", [lambda rows: rows[:-1], lambda rows: rows + 1])
def test_a_lost_or_altered_shard_is_refused(tmp_path: Path, damage: Callable[[Any], Any]) -> None:
    manifest = prepare(DataSettings(source="mixture:ring8", rows=2_000), tmp_path / "out")
    shard = tmp_path / "out" / manifest.splits["train"].shards[0].samples
    np.save(shard, damage(np.load(shard)))
    with pytest.raises(ArtifactError, match=f"{shard.name} is missing or altered"):
        read_split(tmp_path / "out", manifest, "train")
    shard.unlink()
    with pytest.raises(ArtifactError, match=f"{shard.name} is missing or altered"):
        read_split(tmp_path / "out", manifest, "train")


def test_a_mixture_carries_its_true_density(ring: Path) -> None:
    manifest = read_manifest(ring)
    assert manifest.kind == "vector"
    assert manifest.sample_shape == [2]
    assert manifest.mixture is not None
    samples, labels = read_split(ring, manifest, "train")
    offsets = samples - np.array(manifest.mixture.centers)[labels]
    assert offsets.std() == pytest.approx(manifest.mixture.sigma, rel=0.05)
    assert samples.dtype == np.float32


@pytest.mark.parametrize("source", ["digit", "mixture:ring9", "folder:", "s4://bucket", "digits:more"])
def test_an_unknown_source_names_the_known_ones(source: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"data\.source") as raised:
        prepare(DataSettings(source=source), tmp_path / "out")
    assert "ring8" in raised.value.remedy
    assert not (tmp_path / "out").exists()


def test_the_summary_states_rows_and_rejections(digits: Path) -> None:
    manifest = read_manifest(digits).model_copy(update={"rejected_reasons": {"not a picture": 3}})
    text = summarise(manifest)
    assert manifest.fingerprint in text
    assert "3 × not a picture" in text
    for name, split in manifest.splits.items():
        assert f"{split.rows:,} {name}" in text
    counts = " | ".join(f"{split.rows_per_class[7]:,}" for split in manifest.splits.values())
    assert f"| 7 | {counts} |" in text


def test_the_summary_puts_warnings_first(digits: Path) -> None:
    manifest = read_manifest(digits).model_copy(update={"warnings": ["Mend this."]})
    assert summarise(manifest).index("Mend this.") < summarise(manifest).index("source")


def test_no_name_leaves_its_cell_of_the_summarys_tables(digits: Path) -> None:
    manifest = read_manifest(digits)
    odd = manifest.model_copy(update={"source": "folder:a|b\nc", "class_names": ["x|y\nz", *manifest.class_names[1:]]})
    lines = [line for line in summarise(odd).splitlines() if line.startswith("|")]
    assert any(line.startswith("| x&#124;y z |") for line in lines)
    assert len(lines) == len([line for line in summarise(manifest).splitlines() if line.startswith("|")])
    assert {line.count("|") for line in lines} == {3, 5}
