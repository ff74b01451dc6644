"""Reading in shares and merging: nothing tells afterwards how many there were, or what was interrupted."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.artifacts import alone_in, sha256_of_file
from components.prepare import core, partition
from components.prepare.core import LOCK_NAME, UNITS_NAME, prepare
from components.prepare.manifest import MANIFEST_NAME, REJECTED_NAME
from components.prepare.merge import merge
from components.prepare.partition import read_partition
from components.prepare.settings import DataSettings
from components.prepare.sources.source import Item
from components.prepare.units import UNIT_NAME, UnitWriter
from models.errors import ArtifactError, ConfigurationError, SourceError
from tests.components.prepare.test_perceptual import smooth
from tests.components.prepare.test_splits import twins, written

SIDE = 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("shares")
    for name, seed in (("cats", 1), ("dogs", 2), ("class 10", 3)):
        written(place / name, smooth(40, SIDE, seed=seed))
    (place / "dogs" / "broken.png").write_bytes(b"no picture")
    (place / "cats" / "empty.jpg").touch()
    return place


@pytest.fixture(autouse=True)
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition, "UNIT_SAMPLES", 16)


def chosen(folder: Path, **changes: object) -> DataSettings:
    return DataSettings.model_validate({"source": f"folder:{folder}", "image_size": SIDE, "channels": 3, **changes})


def contents(directory: Path) -> dict[str, str]:
    return {
        path.relative_to(directory).as_posix(): sha256_of_file(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file() and UNITS_NAME not in path.parts
    }


def in_shares(settings: DataSettings, count: int, work: Path) -> dict[str, str]:
    places = [work / f"share-{index}" for index in range(count)]
    for index, place in enumerate(places):
        read_partition(settings, place, index=index, count=count)
    merge(settings, places[::-1], work / "out")
    return contents(work / "out")


@pytest.mark.parametrize("count", [2, 3, 50])
def test_the_number_of_shares_leaves_no_trace(folder: Path, tmp_path: Path, count: int) -> None:
    prepare(chosen(folder), tmp_path / "whole")
    assert in_shares(chosen(folder), count, tmp_path) == contents(tmp_path / "whole")


def test_processes_leave_no_trace(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(chosen(folder), tmp_path / "alone")
    monkeypatch.setattr(partition, "ALONE_SAMPLES", {True: 1, False: 1})
    monkeypatch.setattr(partition, "available_cores", lambda: 2)
    prepare(chosen(folder), tmp_path / "two")
    assert contents(tmp_path / "alone") == contents(tmp_path / "two")


def test_names_that_are_no_utf8_go_through_processes_and_into_the_rejections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    originals = smooth(40, SIDE)
    folder = written(tmp_path / "in", np.concatenate([originals, twins(originals), twins(originals, 2)]))
    for path in list(folder.iterdir()):
        path.rename(os.fsdecode(os.fsencode(path.with_suffix("")) + b"-\xff.png"))
    Path(os.fsdecode(os.fsencode(folder) + b"/broken\xfe.png")).write_bytes(b"no picture")
    monkeypatch.setattr(partition, "ALONE_SAMPLES", {True: 1, False: 1})
    monkeypatch.setattr(partition, "available_cores", lambda: 2)
    manifest = prepare(chosen(folder, test_share=0.3), tmp_path / "out")
    assert manifest.rejected == len((tmp_path / "out" / REJECTED_NAME).read_text().splitlines()) > 1
    assert "broken\\\\udcfe.png" in (tmp_path / "out" / REJECTED_NAME).read_text()


def test_a_process_that_fails_says_why_in_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition, "ALONE_SAMPLES", {True: 1, False: 1})
    monkeypatch.setattr(partition, "available_cores", lambda: 2)
    for number in range(60):
        path = tmp_path / "in" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((9 + number, 9), dtype=np.uint8)).save(path)
    with pytest.raises(ConfigurationError, match="different sizes") as raised:
        prepare(DataSettings(source=f"folder:{tmp_path / 'in'}"), tmp_path / "out")
    assert "image_size" in raised.value.remedy


def test_nothing_of_the_work_is_left(folder: Path, tmp_path: Path) -> None:
    manifest = prepare(chosen(folder), tmp_path / "out")
    assert not (tmp_path / "out" / UNITS_NAME).exists()
    assert manifest.class_names == ["cats", "class 10", "dogs"]
    assert (manifest.listed, manifest.rejected) == (122, 2)
    assert sum(split.rows for split in manifest.splits.values()) == 120


def test_an_interrupted_reading_goes_on_with_what_is_missing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(chosen(folder), tmp_path / "whole")
    real, calls = partition.read_into_unit, []

    def until_the_fourth(settings: DataSettings, items: list[Item], directory: Path) -> None:
        calls.append(directory.name)
        if len(calls) == 4:
            directory.mkdir()
            (directory / "samples.bin").write_bytes(b"half")
            raise KeyboardInterrupt
        real(settings, items, directory)

    monkeypatch.setattr(partition, "read_into_unit", until_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        prepare(chosen(folder), tmp_path / "out")
    assert not (tmp_path / "out" / MANIFEST_NAME).exists()
    first, calls = calls, [""] * 10
    prepare(chosen(folder), tmp_path / "out")
    assert set(first[:3]).isdisjoint(calls) and first[3] in calls
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_work_of_other_settings_or_of_another_listing_is_not_gone_on_with(folder: Path, tmp_path: Path) -> None:
    read_partition(chosen(folder), tmp_path / "units")
    before = (tmp_path / "units" / "unit-000000" / UNIT_NAME).stat().st_mtime_ns
    read_partition(chosen(folder), tmp_path / "units")
    assert (tmp_path / "units" / "unit-000000" / UNIT_NAME).stat().st_mtime_ns == before
    read_partition(chosen(folder, channels=1), tmp_path / "units")
    assert (tmp_path / "units" / "unit-000000" / UNIT_NAME).stat().st_mtime_ns != before
    merge(chosen(folder, channels=1), [tmp_path / "units"], tmp_path / "out")


def test_settings_that_only_the_merge_needs_keep_the_work(folder: Path, tmp_path: Path) -> None:
    read_partition(chosen(folder), tmp_path / "units")
    manifest = merge(chosen(folder, test_share=0.4, shard_rows=7), [tmp_path / "units"], tmp_path / "out")
    assert [shard.rows for shard in manifest.splits["train"].shards] in ([7] * 9, [6] * 9) or all(
        shard.rows in (6, 7) for shard in manifest.splits["train"].shards
    )


def test_shares_that_do_not_belong_together_are_refused(folder: Path, tmp_path: Path) -> None:
    settings = chosen(folder)
    read_partition(settings, tmp_path / "0", index=0, count=2)
    with pytest.raises(ArtifactError, match="Of 2 shares"):
        merge(settings, [tmp_path / "0"], tmp_path / "a")
    read_partition(chosen(folder, channels=1), tmp_path / "1", index=1, count=2)
    with pytest.raises(ArtifactError, match="other settings"):
        merge(settings, [tmp_path / "0", tmp_path / "1"], tmp_path / "b")
    (tmp_path / "1" / "partition.json").unlink()
    with pytest.raises(ArtifactError, match=r"partition\.json"):
        merge(settings, [tmp_path / "0", tmp_path / "1"], tmp_path / "c")


def test_a_source_that_changed_since_it_was_listed_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has changed"):
        read_partition(chosen(folder), tmp_path / "units", listing_digest="another")


def test_pictures_of_different_sizes_need_a_size(tmp_path: Path) -> None:
    rows = {"a": np.zeros((30, 9, 9), dtype=np.uint8), "b": np.zeros((30, 12, 12), dtype=np.uint8)}
    for name, pictures in rows.items():
        (tmp_path / "in" / name).mkdir(parents=True)
        for number, picture in enumerate(pictures):
            Image.fromarray(picture).save(tmp_path / "in" / name / f"{number}.png")
    settings = DataSettings.model_construct(**DataSettings().model_dump() | {"source": f"folder:{tmp_path / 'in'}"})
    with pytest.raises(ConfigurationError, match="image_size"):
        prepare(settings, tmp_path / "out")


def test_a_unit_whose_rows_are_gone_is_noticed(folder: Path, tmp_path: Path) -> None:
    read_partition(chosen(folder), tmp_path / "units")
    samples = tmp_path / "units" / "unit-000001" / "samples.bin"
    samples.write_bytes(samples.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match="shorter"):
        merge(chosen(folder), [tmp_path / "units"], tmp_path / "out")
    shutil.rmtree(tmp_path / "units")


def test_two_preparations_never_share_a_directory(folder: Path, tmp_path: Path) -> None:
    tmp_path.joinpath("out").mkdir()
    with alone_in(tmp_path / "out", LOCK_NAME), pytest.raises(ArtifactError, match="going on"):
        prepare(chosen(folder), tmp_path / "out")
    prepare(chosen(folder), tmp_path / "out")
    assert not (tmp_path / "out" / LOCK_NAME).exists()


def test_what_another_preparation_finished_meanwhile_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, times = tmp_path / "out", []
    settings = DataSettings(source="mixture:ring8", rows=100)

    @contextmanager
    def late(directory: Path, name: str) -> Iterator[None]:
        """The lock, had only after another preparation has ended."""
        if not times:
            times.append(0)
            prepare(settings, directory)
            times.append((directory / MANIFEST_NAME).stat().st_mtime_ns)
        with alone_in(directory, name):
            yield

    monkeypatch.setattr(core, "alone_in", late)
    prepare(settings, out)
    assert times == [0, (out / MANIFEST_NAME).stat().st_mtime_ns]
    assert not (out / LOCK_NAME).exists()


def test_a_unit_that_finds_no_room_leaves_nothing(tmp_path: Path) -> None:
    def fill() -> None:
        with UnitWriter(tmp_path / "unit") as unit:
            unit._samples.close()
            unit._samples = Path("/dev/full").open("wb")  # noqa: SIM115  # closed by the writer
            unit._samples.write(b"still in memory")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fill()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["", "out", "cats/out"])
def test_a_dataset_within_its_own_source_is_refused(folder: Path, place: str) -> None:
    with pytest.raises(ConfigurationError, match="lies within"):
        prepare(chosen(folder), folder / place)
    assert sorted(path.name for path in folder.iterdir()) == ["cats", "class 10", "dogs"]
