"""Directories in durable places: on a file system and in a bucket alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.storage import FileStorage, S3Storage, Storage, open_storage
from models.errors import ConfigurationError, StorageError
from tests.components.storage.faults import proxy
from tests.components.storage.server import client

FILES = {"weights.bin": b"w" * 1_000, "a.json": b"{}", "zeros.npy": b"z"}


def directory(path: Path, files: dict[str, bytes] = FILES) -> Path:
    path.mkdir(parents=True)
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


@pytest.fixture(params=["path", "file", "s3", "minio"])
def place(request: pytest.FixtureRequest, tmp_path: Path, s3: str) -> Storage:
    bucket = f"storage-{request.param}-{tmp_path.name.lower().replace('_', '-')}"[-60:].strip("-")
    if request.param in ("s3", "minio"):
        client(s3).create_bucket(Bucket=bucket)
        return open_storage(f"{request.param}://{bucket}/some/prefix")
    return open_storage(f"{'file://' if request.param == 'file' else ''}{tmp_path}/place")


def test_what_is_pushed_is_fetched_and_listed_until_it_is_removed(place: Storage, tmp_path: Path) -> None:
    assert place.directories() == []
    place.push(directory(tmp_path / "one"), "one")
    place.push(directory(tmp_path / "two", {"other.json": b"[]"}), "two")
    assert place.directories() == ["one", "two"]
    place.fetch("one", tmp_path / "back")
    assert {path.name: path.read_bytes() for path in (tmp_path / "back").iterdir()} == FILES
    place.remove("one")
    place.remove("absent")
    assert place.directories() == ["two"]


def test_pushing_again_replaces(place: Storage, tmp_path: Path) -> None:
    place.push(directory(tmp_path / "one"), "one")
    place.push(directory(tmp_path / "again", {"a.json": b"[1]"}), "one")
    place.fetch("one", tmp_path / "back")
    assert (tmp_path / "back" / "a.json").read_bytes() == b"[1]"


def test_in_a_bucket_documents_come_last_and_go_first(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client(s3).create_bucket(Bucket="order")
    with proxy(s3) as seen:
        monkeypatch.setenv("AWS_ENDPOINT_URL", seen.url)
        place = open_storage("s3://order/runs")
        place.push(directory(tmp_path / "one"), "one")
        place.fetch("one", tmp_path / "back")
        place.remove("one")
    for method, first, last in (("PUT", False, True), ("GET", False, True), ("DELETE", True, False)):
        paths = [path.partition("?")[0] for verb, path in seen.requests if verb == method and "/one/" in path]
        names = list(dict.fromkeys(paths))
        assert len(names) == 3
        assert [names[0].endswith(".json"), names[-1].endswith(".json")] == [first, last]


def test_a_full_disk_here_is_not_blamed_on_the_place(tmp_path: Path) -> None:
    directory(tmp_path / "place" / "one", {"weights.bin": b"w"})
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "weights.bin").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        FileStorage(tmp_path / "place").fetch("one", tmp_path / "back")


def test_a_place_that_does_not_answer_is_one_line(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StorageError, match="NoSuchBucket"):
        S3Storage("no-such-bucket", "x").directories()
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        FileStorage(tmp_path / "file").push(directory(tmp_path / "one"), "one")
    with pytest.raises(StorageError, match="cannot be copied"):
        FileStorage(tmp_path / "unmounted").fetch("one", tmp_path / "back")
    with pytest.raises(ConfigurationError, match="not a place"):
        open_storage("ftp://host/path")
