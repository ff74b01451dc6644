"""Preparing a folder of pictures: whatever lies there becomes rows or a stated rejection."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.prepare.core import prepare
from components.prepare.dataset import read_split
from components.prepare.listing import listing_digest
from components.prepare.manifest import REJECTED_NAME, Manifest
from components.prepare.settings import DataSettings
from components.prepare.splits import content_hash
from models.errors import SourceError

SIDE = 8


def picture(seed: int, side: int = SIDE) -> Image.Image:
    return Image.fromarray(np.random.Generator(np.random.PCG64(seed)).integers(0, 256, (side, side), dtype=np.uint8))


def filled(folder: Path, seeds: range | list[int], name: str = "{}.png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        picture(seed).save(folder / name.format(seed))
    return folder


def settings(folder: Path, **changes: object) -> DataSettings:
    return DataSettings.model_validate({"source": f"folder:{folder}", "image_size": SIDE, **changes})


def rows_by_split(output: Path, manifest: Manifest) -> dict[str, set[bytes]]:
    return {
        name: {content_hash(sample) for sample in read_split(output, manifest, name)[0]} for name in manifest.splits
    }


def test_flat_pictures_have_no_labels(tmp_path: Path) -> None:
    manifest = prepare(settings(filled(tmp_path / "in", range(60))), tmp_path / "out")
    assert manifest.class_names == []
    assert manifest.name == "in"
    assert sum(split.rows for split in manifest.splits.values()) == 60
    _, labels = read_split(tmp_path / "out", manifest, "train")
    assert set(labels.tolist()) == {-1}


def test_subfolders_are_classes_in_alphabetical_order(tmp_path: Path) -> None:
    filled(tmp_path / "in" / "dogs", range(40))
    filled(tmp_path / "in" / "cats", range(100, 160))
    manifest = prepare(settings(tmp_path / "in"), tmp_path / "out")
    assert manifest.class_names == ["cats", "dogs"]
    totals = np.sum([split.rows_per_class for split in manifest.splits.values()], axis=0)
    assert totals.tolist() == [60, 40]


def test_a_picture_beside_the_class_folders_is_rejected(tmp_path: Path) -> None:
    filled(tmp_path / "in" / "cats", range(60))
    filled(tmp_path / "in", [999])
    manifest = prepare(settings(tmp_path / "in"), tmp_path / "out")
    assert manifest.rejected_reasons == {"beside class folders, in none of them": 1}


def test_names_and_order_of_creation_leave_no_trace(tmp_path: Path) -> None:
    first = prepare(settings(filled(tmp_path / "a" / "in", range(60))), tmp_path / "out-a")
    renamed = filled(tmp_path / "b" / "in", list(reversed(range(60))), "other-{}.bmp")
    second = prepare(settings(renamed), tmp_path / "out-b")
    assert first.fingerprint == second.fingerprint
    for name, split in first.splits.items():
        assert [shard.samples_sha256 for shard in split.shards] == [
            shard.samples_sha256 for shard in second.splits[name].shards
        ]
    changed = prepare(settings(filled(tmp_path / "c", range(1, 61))), tmp_path / "out-c")
    assert changed.fingerprint != first.fingerprint


def test_old_pictures_keep_their_split_when_new_ones_come(tmp_path: Path) -> None:
    folder = filled(tmp_path / "in", range(60))
    before = rows_by_split(tmp_path / "a", prepare(settings(folder), tmp_path / "a"))
    filled(folder, range(60, 200))
    after = rows_by_split(tmp_path / "b", prepare(settings(folder), tmp_path / "b"))
    assert all(before[name] < after[name] for name in before)


def test_equal_pictures_are_on_one_side_and_counted(tmp_path: Path) -> None:
    folder = filled(tmp_path / "in", range(60))
    for seed in range(20):
        shutil.copyfile(folder / f"{seed}.png", folder / f"copy-{seed}.png")
        picture(seed).save(folder / f"again-{seed}.bmp")
    manifest = prepare(settings(folder), tmp_path / "out")
    assert manifest.exact_duplicates == 40
    assert sum(split.rows for split in manifest.splits.values()) == 100
    splits = rows_by_split(tmp_path / "out", manifest)
    assert sum(map(len, splits.values())) == len(set.union(*splits.values())) == 60


def test_what_is_no_whole_picture_is_rejected_with_its_reason(tmp_path: Path) -> None:
    folder = filled(tmp_path / "in", range(60))
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("not a picture")
    whole = io.BytesIO()
    picture(0, 64).save(whole, "JPEG")
    (folder / "cut.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    (folder / "notes.txt").write_text("is stated and not read")
    manifest = prepare(settings(folder), tmp_path / "out")
    assert (manifest.listed, manifest.rejected) == (64, 4)
    assert manifest.rejected_reasons == {
        "zero bytes": 1,
        "not a picture": 1,
        "truncated": 1,
        "extension of no picture": 1,
    }
    told = [json.loads(line) for line in (tmp_path / "out" / REJECTED_NAME).read_text().splitlines()]
    assert {entry["name"] for entry in told} == {"empty.png", "text.jpg", "cut.jpg", "notes.txt"}
    assert all(len(entry["sha256"]) == 64 for entry in told if entry["name"] != "notes.txt")


def test_too_many_rejections_fail_and_name_the_commonest(tmp_path: Path) -> None:
    folder = filled(tmp_path / "in", range(30))
    for number in range(10):
        (folder / f"bad-{number}.png").write_bytes(b"nothing")
    with pytest.raises(SourceError, match=r"10 of 40.*not a picture"):
        prepare(settings(folder), tmp_path / "out")
    assert len((tmp_path / "out" / REJECTED_NAME).read_text().splitlines()) == 10
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert prepare(settings(folder, rejected_share_limit=0.25), tmp_path / "lenient").rejected == 10


def test_a_folder_without_pictures_fails(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("x")
    with pytest.raises(SourceError):
        prepare(settings(tmp_path / "in"), tmp_path / "out")
    with pytest.raises(SourceError, match="no pictures"):
        listing_digest(settings(tmp_path / "in"))


def test_a_missing_folder_fails(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not a directory"):
        prepare(settings(tmp_path / "absent"), tmp_path / "out")


def test_too_few_pictures_for_three_splits_fail(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="too few"):
        prepare(settings(filled(tmp_path / "in", range(2))), tmp_path / "out")


def test_pictures_of_one_size_may_stay_as_they_are(tmp_path: Path) -> None:
    folder = filled(tmp_path / "in", range(60))
    manifest = prepare(DataSettings(source=f"folder:{folder}"), tmp_path / "out")
    assert (manifest.sample_shape, manifest.resized) == ([1, SIDE, SIDE], "as they are")


def test_the_listings_digest_follows_names_sizes_and_times_but_not_order(tmp_path: Path) -> None:
    folder = filled(tmp_path / "in", range(5))
    digest = listing_digest(settings(folder))
    assert listing_digest(settings(folder)) == digest
    shutil.copytree(folder, tmp_path / "copy")
    for path in sorted((tmp_path / "copy").iterdir(), reverse=True):
        status = (folder / path.name).stat()
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert listing_digest(settings(tmp_path / "copy")) == digest
    os.utime(folder / "0.png", ns=(1, 1))
    assert listing_digest(settings(folder)) != digest
    filled(folder, [5])
    assert len({digest, listing_digest(settings(folder))}) == 2
