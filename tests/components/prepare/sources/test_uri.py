"""URIs of sources, and what they open."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.prepare.settings import DataSettings
from components.prepare.sources.held import braces, scheme_of
from components.prepare.sources.open import open_source
from components.prepare.sources.uri import parse_uri
from models.errors import ConfigurationError, SourceError


@pytest.mark.parametrize(
    ("text", "scheme", "rest", "options"),
    [
        ("digits", "digits", "", {}),
        ("folder:/a b/c?d", "folder", "/a b/c?d", {}),
        ("archive:/a:b.zip?layout=folder", "archive", "/a:b.zip", {"layout": "folder"}),
        ("torchvision:MNIST?root=/a+b&split=all", "torchvision", "MNIST", {"root": "/a+b", "split": "all"}),
        ("stacked-mnist?root=/a:b", "stacked-mnist", "", {"root": "/a:b"}),
        (
            "stacked-mnist?source=arrays:/x.npz?images=x%26y",
            "stacked-mnist",
            "",
            {"source": "arrays:/x.npz?images=x&y"},
        ),
        ("s3://bucket/prefix", "s3", "//bucket/prefix", {}),
    ],
)
def test_a_uri_is_a_scheme_a_rest_and_options(text: str, scheme: str, rest: str, options: dict[str, str]) -> None:
    uri = parse_uri(text)
    assert (uri.scheme, uri.rest, uri.options) == (scheme, rest, options)


def test_an_option_given_twice_or_unknown_is_named() -> None:
    with pytest.raises(ConfigurationError, match="twice"):
        parse_uri("torchvision:MNIST?root=a&root=b")
    for source in ("digits?size=3", "folder:/tmp?x=1", "torchvision:MNIST?size=3", "s3://bucket/prefix?layout=folder"):
        with pytest.raises(ConfigurationError, match="unknown option"):
            open_source(DataSettings(source=source))


@pytest.mark.parametrize("source", ["digit", "mixture:ring9", "folder:", "s4://bucket", "digits:more", "s3://", ""])
def test_an_unknown_source_names_the_known_ones(source: str) -> None:
    with pytest.raises(ConfigurationError, match=r"data\.source") as raised:
        open_source(DataSettings(source=source))
    assert "ring8" in raised.value.remedy


def test_a_bare_path_is_a_folder_or_goes_by_its_suffix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "1.png").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for source in (str(tmp_path / "pictures"), "pictures", "./pictures", "~/pictures", "folder:~/pictures"):
        opened = open_source(DataSettings(source=source))
        assert opened.name == "pictures"
        assert len(list(opened.listing())) == 1
    (tmp_path / "notes.txt").touch()
    with pytest.raises(SourceError, match="known kind"):
        open_source(DataSettings(source=str(tmp_path / "notes.txt")))
    with pytest.raises(SourceError, match=r"absent\.zip cannot be read"):
        open_source(DataSettings(source=str(tmp_path / "absent.zip")))


def test_suffixes_name_the_kind() -> None:
    kinds = {"x.ZIP": "archive", "x.tar.gz": "archive", "x.parquet": "parquet", "x.npz": "arrays", "a": None}
    assert {name: scheme_of(name) for name in kinds} == kinds
    assert scheme_of("train-images-idx3-ubyte.gz") == "arrays"


def test_ranges_in_braces_are_written_out() -> None:
    assert braces("{08..11}.tar") == ["08.tar", "09.tar", "10.tar", "11.tar"]
    assert braces("a{0..1}b{0..1}") == ["a0b0", "a0b1", "a1b0", "a1b1"]
    assert braces("{a}.tar") == ["{a}.tar"]
