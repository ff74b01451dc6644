"""Data sets of torchvision, out of tiny files in its own layout."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from components.prepare.settings import DataSettings
from components.prepare.sources.open import open_source
from components.prepare.sources.source import Rows, Source
from models.errors import ConfigurationError, SourceError
from tests.components.prepare.sources.laws import classes, listed, obeys

ROWS = {"train": 1_100, "t10k": 30}


def opened(options: str) -> Source:
    return open_source(DataSettings(source=f"torchvision:{options}"))


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def mnist(root: Path, name: str = "MNIST") -> Path:
    raw = root / name / "raw"
    raw.mkdir(parents=True)
    for part, rows in ROWS.items():
        pictures = np.random.default_rng(rows).integers(0, 256, (rows, 28, 28), dtype=np.uint8)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(idx(pictures))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(idx((np.arange(rows) % 10).astype(np.uint8)))
    return root


@pytest.mark.parametrize(("split", "rows"), [("train", 1_100), ("test", 30), ("all", 1_130)])
def test_a_split_or_both_are_read(tmp_path: Path, split: str, rows: int) -> None:
    source = opened(f"MNIST?root={mnist(tmp_path)}&split={split}")
    entries = obeys(source)
    assert sum(len(entry.samples) for entry in entries if isinstance(entry, Rows)) == rows
    assert all(isinstance(entry, Rows) and entry.samples.shape[1:] == (1, 28, 28) for entry in entries)
    assert set(classes(entries).values()) == {str(digit) for digit in range(10)}


def test_named_classes_have_their_names_and_changed_content_changes_the_listing(tmp_path: Path) -> None:
    source = opened(f"FashionMNIST?root={mnist(tmp_path, 'FashionMNIST')}")
    assert "Ankle boot" in classes(obeys(source)).values()
    before, _ = listed(source)
    labels = tmp_path / "FashionMNIST" / "raw" / "train-labels-idx1-ubyte"
    raw = bytearray(labels.read_bytes())
    raw[-1] ^= 1
    labels.write_bytes(raw)
    assert listed(source)[0] != before


def test_stacked_digits_of_a_root_are_torchvisions(tmp_path: Path) -> None:
    source = open_source(DataSettings(source=f"stacked-mnist?root={mnist(tmp_path)}", rows=1_100))
    assert source.name == "stacked-mnist"
    assert sum(len(entry.samples) for entry in obeys(source) if isinstance(entry, Rows)) == 1_100


@pytest.mark.parametrize(("name", "shape"), [("SVHN", (3, 32, 32)), ("CIFAR10", (3, 32, 32)), ("USPS", (1, 16, 16))])
def test_arrays_of_every_shape_become_pictures(name: str, shape: tuple[int, ...]) -> None:
    from components.prepare.sources.torchvision import _pictures

    channels, height, width = shape
    stored = {"SVHN": (4, 3, 32, 32), "CIFAR10": (4, 32, 32, 3), "USPS": (4, 16, 16)}[name]
    pixels = np.random.default_rng(0).integers(0, 256, stored, dtype=np.uint8)
    found = _pictures(pixels)
    assert found.shape == (4, channels, height, width)
    assert np.array_equal(found, np.moveaxis(pixels, -1, 1) if name == "CIFAR10" else pixels.reshape(found.shape))


@pytest.mark.parametrize("name", ["MNIST", "QMNIST", "EMNIST", "CIFAR100", "SVHN", "USPS", "STL10"])
def test_missing_files_say_where_to_put_them(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match="not whole under") as raised:
        list(opened(f"{name}?root={tmp_path}").listing())
    assert "download=true" in raised.value.remedy and str(tmp_path) in raised.value.remedy


def test_options_that_are_none_are_named() -> None:
    for options, word in (("MNISt", "name"), ("MNIST?split=valid", "split"), ("MNIST?download=yes", "download")):
        with pytest.raises(ConfigurationError, match=word):
            opened(options)
