"""Members of archives: like the files of a folder, whatever is wrong with some of them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from components.prepare.settings import DataSettings
from components.prepare.sources.open import open_source
from components.prepare.sources.source import Encoded, Rejection, Source
from models.errors import ConfigurationError, SourceError
from tests.components.prepare.sources.laws import classes, listed, obeys, reasons

MEMBERS = {f"{kind}/{number}.png": f"{kind} {number}".encode() * 300 for kind in ("cat", "dog") for number in range(6)}
SUFFIXES = ["zip", "tar", "tar.gz", "tgz", "tar.bz2", "tar.xz"]
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "tgz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


def tarred(members: dict[str, bytes], *special: tarfile.TarInfo) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
        for info in special:
            archive.addfile(info)
    return content.getvalue()


def pack(path: Path, members: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, body in members.items():
                archive.writestr(name, body)
    else:
        path.write_bytes(PACKERS.get(path.suffix[1:], bytes)(tarred(members)))
    return path


def opened(path: object, options: str = "") -> Source:
    return open_source(DataSettings(source=f"archive:{path}{options}"))


def contents(source: Source) -> dict[str, bytes]:
    return {entry.name: entry.content for entry in obeys(source) if isinstance(entry, Encoded)}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_kind_gives_the_same_pictures_with_its_top_folder_taken_off(tmp_path: Path, suffix: str) -> None:
    source = opened(pack(tmp_path / f"x.{suffix}", {f"./top/{name}": body for name, body in MEMBERS.items()}))
    assert contents(source) == MEMBERS
    assert set(classes(obeys(source)).values()) == {"cat", "dog"}
    assert contents(opened(pack(tmp_path / f"y.{suffix}", MEMBERS))) == MEMBERS
    flat = opened(pack(tmp_path / f"z.{suffix}", {"top/1.png": b"1", "top/2.png": b"2"}))
    assert classes(obeys(flat)) == {"1.png": None, "2.png": None}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_changed_content_changes_the_listing(tmp_path: Path, suffix: str) -> None:
    path = pack(tmp_path / f"x.{suffix}", MEMBERS)
    before = list(opened(path).listing())
    assert list(opened(path).listing()) == before
    pack(path, MEMBERS | {"cat/0.png": b"C" + MEMBERS["cat/0.png"][1:]})
    assert list(opened(path).listing()) != before


@pytest.mark.parametrize("suffix", ["zip", "tar"])
def test_what_is_no_sample_is_stated(tmp_path: Path, suffix: str) -> None:
    names = ["../out.png", "/abs.png", "cat/../../up.png", "beside.png", "cat/notes.txt", "__MACOSX/cat/._0.png"]
    path = pack(tmp_path / f"x.{suffix}", MEMBERS | dict.fromkeys(names, b"x"))
    source = opened(path)
    assert contents(source) == MEMBERS
    _, rejections = listed(source)
    told = {entry.name: (entry.reason, entry.candidate) for entry in rejections}
    assert told.pop("cat/notes.txt") == ("extension of no picture", False)
    assert told.pop("__MACOSX/cat/._0.png") == ("extension of no picture", False)
    assert told.pop("beside.png") == ("beside class folders, in none of them", True)
    assert len(told) == 3 and set(told.values()) == {("path traversal", True)}


def test_of_two_members_with_one_name_the_first_is_read(tmp_path: Path) -> None:
    twice = tarred({"a/1.png": b"first", "b/1.png": b"x"})[:2_048] + tarred({"a/1.png": b"second"})
    (tmp_path / "x.tar").write_bytes(twice)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a/1.png", b"first")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("./a/1.png".removeprefix("./"), b"second")
        archive.writestr("b/1.png", b"x")
    for suffix in ("tar", "zip"):
        source = opened(tmp_path / f"x.{suffix}")
        assert contents(source) == {"a/1.png": b"first", "b/1.png": b"x"}
        assert reasons(source.listing()) == {"a/1.png": "duplicate name"}


def test_links_and_devices_are_stated_and_never_followed(tmp_path: Path) -> None:
    special = []
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
        info = tarfile.TarInfo(f"cat/special-{kind.decode()}.png")
        info.type, info.linkname = kind, "/etc/passwd"
        special.append(info)
    (tmp_path / "x.tar").write_bytes(tarred(MEMBERS, *special))
    link = zipfile.ZipInfo("cat/link.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(pack(tmp_path / "x.zip", MEMBERS), "a") as archive:
        archive.writestr(link, "/etc/passwd")
    for suffix, count in (("tar", 4), ("zip", 1)):
        source = opened(tmp_path / f"x.{suffix}")
        assert contents(source) == MEMBERS
        assert list(reasons(source.listing()).values()) == ["not a regular file"] * count


def test_encrypted_and_damaged_members_of_a_zip_are_stated(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a/good.png", "a/flipped.png", "a/locked.png", "b/good.png"):
            archive.writestr(name, name.encode() * 50)
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"a/flipped.pnga/flipped.png") + 30] ^= 0xFF
    entry = raw.rindex(b"PK\x01\x02", 0, raw.rindex(b"a/locked.png"))
    raw[entry + 8] |= 1
    path.write_bytes(raw)
    source = opened(path)
    assert reasons(source.listing()) == {"a/locked.png": "encrypted"}
    entries = obeys(source)
    assert reasons(entries) == {"a/flipped.png": "checksum differs"}
    assert set(classes(entries)) == {"a/good.png", "b/good.png"}


def test_a_member_without_a_name_is_stated(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.zip", MEMBERS | {"Z.png": b"x"})
    path.write_bytes(path.read_bytes().replace(b"Z.png", b"\0.png"))  # zipfile ends a name at its first zero byte
    source = opened(tmp_path / "x.zip")
    assert contents(source) == MEMBERS
    assert reasons(source.listing()) == {"": "path traversal"}


def test_a_bomb_is_stated_by_the_size_it_declares_and_a_lie_about_it_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("good.png", b"good")
        archive.writestr("bomb.png", b"")
        archive.writestr("liar.png", bytes(1 << 20))
    raw = bytearray(path.read_bytes())
    for name, size in ((b"bomb.png", (256 << 20) + 1), (b"liar.png", 100)):
        entry = raw.rindex(b"PK\x01\x02", 0, raw.rindex(name))
        struct.pack_into("<I", raw, entry + 24, size)
    path.write_bytes(raw)
    assert reasons(opened(path).listing()) == {"bomb.png": "decompression bomb"}
    assert reasons(obeys(opened(path))) == {"liar.png": "checksum differs"}
    sparse = tarfile.TarInfo("bomb.png")
    sparse.size = 1 << 40
    (tmp_path / "x.tar").write_bytes(tarred({"good.png": b"good"})[:1_024] + sparse.tobuf() + bytes(1_024))
    found = reasons(opened(tmp_path / "x.tar").listing())
    assert found == {"bomb.png": "decompression bomb", "x.tar": "truncated archive"}


@pytest.mark.parametrize("suffix", SUFFIXES[1:])
def test_of_a_truncated_tar_what_precedes_is_read(tmp_path: Path, suffix: str) -> None:
    names = {f"{number:02}.png": zlib.adler32(b"%d" % number).to_bytes(4, "big") * 500 for number in range(40)}
    path = pack(tmp_path / f"x.{suffix}", names)
    whole = path.read_bytes()
    counts = []
    for share in (0.3, 0.6, 0.97):
        path.write_bytes(whole[: int(len(whole) * share)])
        source = opened(path)
        try:
            entries = obeys(source)
        except SourceError:  # nothing at all could be read
            assert share < 0.97 or suffix in ("tar.bz2", "tar.xz")
            counts.append(0)
            continue
        found = {entry.name: entry.content for entry in entries if isinstance(entry, Encoded)}
        assert found.items() <= names.items()
        assert set(reasons(entries).values()) <= {"truncated archive"}
        if len(found) < len(names):
            assert reasons(source.listing()) == {path.name: "truncated archive"}
        counts.append(len(found))
    assert counts == sorted(counts)
    assert counts[-1] > 0 or suffix in ("tar.bz2", "tar.xz")  # one block of theirs holds all of it


def test_a_broken_header_in_the_middle_is_not_taken_for_the_end(tmp_path: Path) -> None:
    raw = bytearray(tarred(MEMBERS))
    raw[raw.index(b"dog/0.png")] ^= 0xFF
    (tmp_path / "x.tar").write_bytes(raw)
    source = opened(tmp_path / "x.tar")
    assert set(contents(source)) == {f"{number}.png" for number in range(6)}
    assert reasons(source.listing()) == {"x.tar": "damaged archive"}


def test_a_tar_without_its_end_mark_is_stated(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(tarred({"1.png": b"x"})[:1_024])
    source = opened(tmp_path / "x.tar")
    assert contents(source) == {"1.png": b"x"}
    assert Rejection("x.tar", "archive without its end mark", candidate=False) in list(source.listing())


def test_a_gzip_of_several_parts_is_read_to_its_end_and_its_checksum_is_looked_at(tmp_path: Path) -> None:
    raw = tarred(MEMBERS)
    several = gzip.compress(raw[:5_000]) + gzip.compress(raw[5_000:])
    (tmp_path / "x.tgz").write_bytes(several)
    assert contents(opened(tmp_path / "x.tgz")) == MEMBERS
    wrong = bytearray(several)
    wrong[-6] ^= 0xFF
    (tmp_path / "x.tgz").write_bytes(wrong)
    assert contents(opened(tmp_path / "x.tgz")) == MEMBERS
    assert reasons(opened(tmp_path / "x.tgz").listing()) == {"x.tgz": "damaged archive"}


def test_an_archive_that_is_none_fails_alone_and_is_stated_among_others(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        (tmp_path / f"bad.{suffix}").write_bytes(b"this is no archive at all" * 100)
        with pytest.raises(SourceError, match="holds no pictures"):
            list(opened(tmp_path / f"bad.{suffix}").listing())
    pack(tmp_path / "good.tar", MEMBERS)
    source = opened(tmp_path)
    assert contents(source) == {f"good.tar/{name}": body for name, body in MEMBERS.items()}
    assert len(reasons(source.listing())) == len(SUFFIXES)


def test_many_archives_are_one_source(tmp_path: Path) -> None:
    for number, kind in enumerate(("cat", "dog")):
        members = {f"top/{name}": body for name, body in MEMBERS.items() if name.startswith(kind)}
        pack(tmp_path / f"{number:03}.tar", members)
    source = opened(f"{tmp_path}/{{000..001}}.tar")
    assert len(contents(source)) == len(MEMBERS)
    assert classes(obeys(source))["001.tar/dog/3.png"] == "dog"
    assert list(opened(tmp_path).listing()) == list(source.listing())
    with pytest.raises(SourceError, match=r"002\.tar"):
        opened(f"{tmp_path}/{{000..002}}.tar")


def test_an_archive_that_changed_since_it_was_listed_is_stated(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        source = opened(pack(tmp_path / f"x.{suffix}", MEMBERS))
        items, _ = listed(source)
        pack(tmp_path / f"x.{suffix}", {"other/1.png": b"x"})
        entries = list(opened(tmp_path / f"x.{suffix}").read(items))
        assert list(reasons(entries).values()) == ["changed while it was read"] * len(items)


WEB = {
    "a/000.png": b"0",
    "a/000.cls": b"7\n",
    "a/001.cls": b"8",
    "a/001.left.jpg": b"l",
    "a/001.right.jpg": b"r",
    "a/002.png": b"2",
    "a/002.json": b'{"label": "nine", "class": 3}',
    "a/003.png": b"3",
    "a/003.txt": b"ten",
    "a/004.png": b"4",
    "a/005.cls": b"1",
    "a/006.png": b"6",
    "a/006.json": b"[1",
    "a/006.npy": b"",
}


@pytest.mark.parametrize("options", ["?layout=webdataset", ""])
@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_webdataset_has_classes_beside_its_pictures(tmp_path: Path, suffix: str, options: str) -> None:
    pack(tmp_path / f"000000.{suffix}", WEB)
    source = opened(tmp_path, options)
    assert classes(obeys(source)) == {
        "a/000.png": "7",
        "a/001.left.jpg": "8",
        "a/001.right.jpg": "8",
        "a/002.png": "nine",
        "a/003.png": "ten",
    }
    assert reasons(source.listing()) == {
        "a/004.png": "no class beside it",
        "a/005.cls": "class without a picture",
        "a/006.png": "no class beside it",
        "a/006.npy": "extension of no picture",
    }


def test_webdataset_without_classes_is_flat_and_an_unknown_layout_is_named(tmp_path: Path) -> None:
    pack(tmp_path / "0.tar", {"x/000.png": b"0", "y/001.png": b"1"})
    assert set(classes(obeys(opened(tmp_path, "?layout=webdataset"))).values()) == {None}
    assert set(classes(obeys(opened(tmp_path, "?layout=folder"))).values()) == {"x", "y"}
    with pytest.raises(ConfigurationError, match="layout"):
        opened(tmp_path, "?layout=flat")
