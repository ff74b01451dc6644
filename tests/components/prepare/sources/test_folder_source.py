"""A folder's files: each comes out once, or with the reason why not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from components.prepare.sources.folder import FolderSource
from components.prepare.sources.source import Rejection
from models.errors import SourceError
from tests.components.prepare.sources.laws import classes, listed, obeys, reasons


def put(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(f"content of {name}".encode())
    return root


def test_subfolders_are_classes(tmp_path: Path) -> None:
    put(tmp_path, "cat/1.png", "cat/deep/2.JPG", "dog/1.png")
    found = classes(obeys(FolderSource(tmp_path)))
    assert found == {"cat/1.png": "cat", "cat/deep/2.JPG": "cat", "dog/1.png": "dog"}


def test_a_flat_folder_has_no_classes(tmp_path: Path) -> None:
    assert classes(obeys(FolderSource(put(tmp_path, "1.png", "2.tiff")))) == {"1.png": None, "2.tiff": None}


def test_what_the_name_rules_out_is_stated_in_the_listing(tmp_path: Path) -> None:
    put(tmp_path, "cat/1.png", "beside.png", "README.md", "cat/Thumbs.db", "cat/._1.png")
    _, rejections = listed(FolderSource(tmp_path))
    assert reasons(rejections) == {
        "beside.png": "beside class folders, in none of them",
        "README.md": "extension of no picture",
        "cat/Thumbs.db": "extension of no picture",
        "cat/._1.png": "extension of no picture",
    }
    assert {entry.name for entry in rejections if entry.candidate} == {"beside.png"}


def test_symlinks_are_followed_inside_the_tree_and_stated_outside(tmp_path: Path) -> None:
    put(tmp_path / "in", "cat/1.png", "pool/x/2.png")
    put(tmp_path / "out", "secret.png", "folder/3.png")
    root = tmp_path / "in"
    (root / "cat" / "again.png").symlink_to("1.png")
    (root / "cat" / "x").symlink_to(root / "pool" / "x")
    (root / "cat" / "y").symlink_to(root / "pool" / "x")
    (root / "cat" / "secret.png").symlink_to(tmp_path / "out" / "secret.png")
    (root / "cat" / "folder").symlink_to("../../out/folder")
    (root / "cat" / "nowhere.png").symlink_to("absent.png")
    (root / "cat" / "itself.png").symlink_to("itself.png")
    source = FolderSource(root)
    assert set(classes(obeys(source))) == {"cat/1.png", "cat/again.png", "cat/x/2.png", "pool/x/2.png"}
    assert reasons(source.listing()) == {
        "cat/secret.png": "symlink out of the tree",
        "cat/folder": "symlink out of the tree",
        "cat/nowhere.png": "broken symlink",
        "cat/itself.png": "unreadable: OSError",
        "cat/y": "symlink to a folder that was followed already",
    }


def test_loops_of_folders_end(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "b").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "a").symlink_to(tmp_path / "a")
    assert {"a/1.png", "b/2.png"} <= set(classes(obeys(FolderSource(tmp_path))))
    assert set(reasons(FolderSource(tmp_path).listing()).values()) == {"symlink to a folder that was followed already"}


def test_a_root_that_is_a_symlink_is_its_target(tmp_path: Path) -> None:
    put(tmp_path / "real", "1.png")
    (tmp_path / "link").symlink_to("real")
    assert list(FolderSource(tmp_path / "link").listing()) == list(FolderSource(tmp_path / "real").listing())


def test_what_changes_between_listing_and_reading_is_stated(tmp_path: Path) -> None:
    source = FolderSource(put(tmp_path, "gone.png", "longer.png", "pipe.png", "same.png"))
    items, _ = listed(source)
    (tmp_path / "gone.png").unlink()
    (tmp_path / "longer.png").write_bytes(b"something else")
    (tmp_path / "pipe.png").unlink()
    os.mkfifo(tmp_path / "pipe.png")
    entries = list(source.read(items))
    assert len(entries) == 4
    assert reasons(entries) == {
        "gone.png": "unreadable: FileNotFoundError",
        "longer.png": "changed while it was read",
        "pipe.png": "not a regular file",
    }


def test_what_is_no_regular_file_is_stated(tmp_path: Path) -> None:
    put(tmp_path, "1.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "large.png").touch()
    os.truncate(tmp_path / "large.png", (256 << 20) + 1)
    found = reasons(FolderSource(tmp_path).listing())
    assert found == {"pipe.png": "not a regular file", "large.png": "file larger than 256 MiB"}


@contextmanager
def nobody() -> Iterator[None]:
    """Root may read everything: become another user for a moment."""
    if os.geteuid():
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_files_and_folders_without_permission_are_stated() -> None:
    root = Path(tempfile.mkdtemp())
    try:
        root.chmod(0o755)
        put(root, "cat/1.png", "cat/2.png", "dog/3.png")
        (root / "cat" / "2.png").chmod(0)
        (root / "dog").chmod(0)
        with nobody():
            source = FolderSource(root)
            items, rejections = listed(source)
            entries = list(source.read(items))
        assert reasons(rejections) == {"dog": "unreadable: PermissionError"}
        assert sorted(item.name for item in items) == ["cat/1.png", "cat/2.png"]
        assert reasons(entries) == {"cat/2.png": "unreadable: PermissionError"}
    finally:
        (root / "dog").chmod(0o700)
        shutil.rmtree(root)


def test_names_that_are_not_utf8_survive_to_json(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    Path(os.fsdecode(folder)).mkdir()
    for name in (b"/\xff.png", b"/\xff.txt", b"/new\nline.png"):
        Path(os.fsdecode(folder + name)).write_bytes(b"x")
    source = FolderSource(tmp_path)
    entries = obeys(source)
    assert set(classes(entries).values()) == {"caf\\xe9"}
    for entry in [*entries, *source.listing()]:
        assert json.loads(json.dumps(entry.name)) == entry.name


def test_deep_trees_are_walked_without_recursion_and_too_long_paths_are_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Path("/dev/shm")  # where removing a thousand folders does not take seconds
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as place:
        monkeypatch.chdir(place)
        way = ["d"] * 1_020 + ["e" * 100] * 30  # deeper than Python's recursion, then longer than a path may be
        for depth, name in enumerate(way):
            Path(name).mkdir()
            os.chdir(name)
            if depth == 1_010:
                Path("1.png").write_bytes(b"x")
        Path("2.png").write_bytes(b"x")
        try:
            items, rejections = listed(FolderSource(Path(place)))
            assert [item.name for item in items] == ["d/" * 1_011 + "1.png"]
            assert len(rejections) == 1
            assert rejections[0] == Rejection(rejections[0].name, "unreadable: path too long")
        finally:
            monkeypatch.undo()
            subprocess.run(["rm", "-rf", f"{place}/d"], check=True)  # Python's own way recurses


def test_the_listing_follows_names_sizes_and_times(tmp_path: Path) -> None:
    source = FolderSource(put(tmp_path, "1.png", "2.png"))
    before = sorted(source.listing(), key=lambda item: item.name)
    assert sorted(source.listing(), key=lambda item: item.name) == before
    os.utime(tmp_path / "1.png", ns=(1, 1))
    after = sorted(source.listing(), key=lambda item: item.name)
    assert after[0] != before[0] and after[1] == before[1]


def test_a_folder_without_pictures_and_a_missing_one_fail(tmp_path: Path) -> None:
    put(tmp_path, "notes.txt")
    with pytest.raises(SourceError, match="holds no pictures"):
        list(FolderSource(tmp_path).listing())
    with pytest.raises(SourceError, match="not a directory"):
        FolderSource(tmp_path / "absent")
