"""Directories between steps: whole or refused, never half."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from components.artifacts import (
    Document,
    alone_in,
    prepare_output_directory,
    read_document,
    sha256_of_file,
    sha256_of_json,
    write_bytes_atomically,
    write_document,
)
from models.errors import ArtifactError


class Note(Document):
    """A document of these tests."""

    text: str


def test_a_document_comes_back_equal(tmp_path: Path) -> None:
    write_document(tmp_path / "note.json", Note(text="é"))
    assert read_document(tmp_path, "note.json", Note) == Note(text="é")


def test_an_atomic_write_replaces_the_whole_content_and_leaves_nothing_else(tmp_path: Path) -> None:
    write_bytes_atomically(tmp_path / "deep" / "file", b"a long first content")
    write_bytes_atomically(tmp_path / "deep" / "file", b"short")
    assert (tmp_path / "deep" / "file").read_bytes() == b"short"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["file"]
    assert (tmp_path / "deep" / "file").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_failure_in_the_middle_leaves_the_old_file_and_no_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    target = tmp_path / "file"
    write_bytes_atomically(target, b"old")

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    if moment == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(os, "replace", fail)
        monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_bytes_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_document_is_on_disk_under_its_name_only_once_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real = os.fsync

    def look(descriptor: int) -> None:
        seen.append((tmp_path / "file").exists())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    write_bytes_atomically(tmp_path / "file", b"content")
    assert seen[0] is False
    assert (tmp_path / "file").exists()


def test_a_half_written_directory_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"x")
    with pytest.raises(ArtifactError, match=r"half-written.*note\.json") as raised:
        read_document(tmp_path, "note.json", Note)
    assert str(tmp_path) in raised.value.message


def test_a_missing_directory_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no note\.json") as raised:
        read_document(tmp_path / "absent", "note.json", Note)
    assert str(tmp_path / "absent") in raised.value.message


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ('{"schema_version": 2, "text": "x"}', "schema_version"),
        ('{"schema_version": 1}', "text"),
        ('{"schema_version": 1, "text": 3}', "text"),
        ('{"schema_version": 1, "text": "x", "more": 1}', "more"),
        ('{"schema_version": 1, "text": "x"', "JSON"),
        ("\x00\xff", "note.json"),
    ],
)
def test_another_version_or_shape_is_refused_naming_the_field(tmp_path: Path, content: str, named: str) -> None:
    (tmp_path / "note.json").write_text(content, encoding="latin-1")
    with pytest.raises(ArtifactError, match=named):
        read_document(tmp_path, "note.json", Note)


def test_a_finished_output_is_refused_and_an_interrupted_one_is_kept(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"x")
    prepare_output_directory(tmp_path, "note.json")
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]
    write_document(tmp_path / "note.json", Note(text="x"))
    with pytest.raises(ArtifactError, match="finished"):
        prepare_output_directory(tmp_path, "note.json")


def test_an_output_below_a_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="Cannot write") as raised:
        prepare_output_directory(tmp_path / "file" / "out", "note.json")
    assert "--out" in raised.value.remedy


@pytest.mark.parametrize("made_again", [False, True])
def test_a_lock_that_its_owner_removed_meanwhile_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_again: bool
) -> None:
    def taken_late(*_: object) -> None:
        (tmp_path / ".lock").unlink()
        if made_again:
            (tmp_path / ".other").touch()
            (tmp_path / ".other").rename(tmp_path / ".lock")

    monkeypatch.setattr("fcntl.flock", taken_late)
    with pytest.raises(ArtifactError, match="going on"), alone_in(tmp_path, ".lock"):
        raise AssertionError("two would be at work")


def test_the_hash_of_a_file_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc" * 1_000_000)
    assert sha256_of_file(tmp_path / "file") == hashlib.sha256(b"abc" * 1_000_000).hexdigest()


def test_the_hash_of_json_depends_on_the_value_and_not_on_its_spelling() -> None:
    first, second = json.loads('{"a": 1, "b": [1, 2]}'), json.loads('{"b":[1,2],  "a":1}')
    assert sha256_of_json(first) == sha256_of_json(second)
    assert sha256_of_json(first) != sha256_of_json({"a": 1, "b": [2, 1]})
    with pytest.raises(ValueError, match="JSON"):
        sha256_of_json({"a": float("nan")})
