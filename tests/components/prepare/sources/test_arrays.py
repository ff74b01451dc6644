"""Arrays of NumPy and IDX become pictures or vectors, row by row."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from components.prepare.settings import DataSettings
from components.prepare.sources.open import open_source
from components.prepare.sources.source import Rows, Source
from models.errors import ConfigurationError, SourceError
from tests.components.prepare.sources.laws import classes, listed, obeys, reasons

ROWS = 1_030
PICTURES = np.random.default_rng(0).integers(0, 256, (ROWS, 5, 6), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (ROWS, 5, 6, 3), dtype=np.uint8)
LABELS = np.arange(ROWS) % 4


def opened(path: Path, options: str = "") -> Source:
    return open_source(DataSettings(source=f"arrays:{path}{options}"))


def samples(source: Source) -> npt.NDArray[np.uint8] | npt.NDArray[np.float32]:
    return np.concatenate([entry.samples for entry in obeys(source) if isinstance(entry, Rows)])


def saved(path: Path, array: npt.NDArray[np.generic]) -> Path:
    np.save(path, array)
    return path


def idx(array: npt.NDArray[np.generic], kind: int = 0x08) -> bytes:
    return bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.mark.parametrize("order", ["C", "F"])
def test_grey_and_colour_of_either_layout_are_the_same_pictures(tmp_path: Path, order: str) -> None:
    grey = saved(tmp_path / "grey.npy", np.asarray(PICTURES, order=order))  # type: ignore[call-overload]
    assert np.array_equal(samples(opened(grey)), PICTURES[:, None])
    expected = COLOUR.transpose(0, 3, 1, 2)
    for name, array in (("nhwc", COLOUR), ("nchw", expected)):
        path = saved(tmp_path / f"{name}.npy", np.asarray(array, order=order))  # type: ignore[call-overload]
        assert np.array_equal(samples(opened(path)), expected)


def test_an_ambiguous_layout_is_asked_for(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.npy", COLOUR[:, :3, :, :])
    with pytest.raises(ConfigurationError, match="either axis"):
        opened(path)
    assert np.array_equal(samples(opened(path, "?layout=nchw")), COLOUR[:, :3])
    assert np.array_equal(samples(opened(path, "?layout=nhwc")), COLOUR[:, :3].transpose(0, 3, 1, 2))


def test_deeper_values_are_scaled_and_rounded_once(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65_535, 2 * 5 * 6).round().astype(np.uint16).reshape(2, 5, 6)
    for deep in (ramp, ramp.astype(">u2")):
        found = samples(opened(saved(tmp_path / "deep.npy", deep)))
        assert np.abs(found[:, 0].astype(float) - ramp / 257).max() <= 0.5
    share = np.linspace(0, 1, 60).reshape(2, 5, 6)
    for dtype in (np.float64, np.float32, np.float16):
        found = samples(opened(saved(tmp_path / "float.npy", share.astype(dtype))))
        assert np.abs(found[:, 0].astype(float) - share.astype(dtype).astype(float) * 255).max() <= 0.5
    assert set(samples(opened(saved(tmp_path / "bits.npy", PICTURES > 128))).ravel()) == {0, 255}


def test_a_fourth_channel_is_composited_over_white(tmp_path: Path) -> None:
    array = np.zeros((2, 5, 6, 4), np.uint8)
    array[1, ..., 3] = 255
    found = samples(opened(saved(tmp_path / "x.npy", array)))
    assert found.shape == (2, 3, 5, 6)
    assert (found[0] == 255).all() and (found[1] == 0).all()


def test_rows_that_are_not_finite_or_of_unknown_range_are_rejected_alone(tmp_path: Path) -> None:
    array = np.full((5, 4, 4), 0.5, np.float32)
    array[1, 0, 0], array[2, 0, 0], array[3, 0, 0], array[4, 0, 0] = np.nan, np.inf, 1.001, -0.001
    entries = obeys(opened(saved(tmp_path / "x.npy", array)))
    assert list(reasons(entries).values()) == ["not a finite array"] * 2 + ["values of unknown range"] * 2
    assert list(classes(entries)) == ["x.npy#00000000"]


def test_vectors_stay_numbers(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(20, 7))
    vectors[3, 2] = np.nan
    vectors[4, 2] = 1e300
    source = opened(saved(tmp_path / "x.npy", vectors))
    assert source.kind == "vector"
    assert np.array_equal(samples(source), np.delete(vectors, [3, 4], axis=0).astype(np.float32))
    assert set(reasons(obeys(source)).values()) == {"not a finite array"}


def test_labels_come_from_a_file_a_key_or_from_beside(tmp_path: Path) -> None:
    expected = [str(label) for label in LABELS]
    saved(tmp_path / "x.npy", PICTURES)
    saved(tmp_path / "y.npy", LABELS[:, None])
    assert list(classes(obeys(opened(tmp_path / "x.npy"))).values()) == [None] * ROWS
    assert list(classes(obeys(opened(tmp_path / "x.npy", "?labels=y.npy"))).values()) == expected
    np.savez_compressed(tmp_path / "x.npz", images=PICTURES, labels=LABELS.astype(str))
    assert list(classes(obeys(opened(tmp_path / "x.npz"))).values()) == expected
    assert np.array_equal(samples(opened(tmp_path / "x.npz")), PICTURES[:, None])
    np.savez(tmp_path / "odd.npz", p=PICTURES, q=LABELS, r=LABELS[::-1])
    assert list(classes(obeys(opened(tmp_path / "odd.npz", "?images=p&labels=r"))).values()) == expected[::-1]
    with pytest.raises(ConfigurationError, match="not clear") as raised:
        opened(tmp_path / "odd.npz")
    assert "p, q, r" in raised.value.remedy


@pytest.mark.parametrize("packed", [False, True])
def test_idx_is_read_with_its_labels_beside_it(tmp_path: Path, packed: bool) -> None:
    suffix, pack = (".gz", gzip.compress) if packed else ("", bytes)
    (tmp_path / f"train-images-idx3-ubyte{suffix}").write_bytes(pack(idx(PICTURES)))
    (tmp_path / f"train-labels-idx1-ubyte{suffix}").write_bytes(pack(idx(LABELS.astype(np.uint8))))
    source = opened(tmp_path / f"train-images-idx3-ubyte{suffix}")
    assert np.array_equal(samples(source), PICTURES[:, None])
    assert list(classes(obeys(source)).values()) == [str(label) for label in LABELS]


@pytest.mark.parametrize("name", ["x.npy", "x-ubyte", "x-ubyte.gz"])
def test_of_a_truncated_file_the_whole_rows_are_read_and_the_others_stated(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "x.npy":
        saved(path, PICTURES)
    else:
        path.write_bytes(gzip.compress(idx(PICTURES)) if name.endswith("gz") else idx(PICTURES))
    os.truncate(path, path.stat().st_size // 2)
    entries = obeys(opened(path))
    read = sum(len(entry.samples) for entry in entries if isinstance(entry, Rows))
    assert 0.45 * ROWS < read < 0.55 * ROWS
    assert list(reasons(entries).values()) == ["truncated file"] * (ROWS - read)


def test_a_gzip_whose_checksum_differs_is_refused(tmp_path: Path) -> None:
    raw = bytearray(gzip.compress(idx(PICTURES)))
    raw[-6] ^= 0xFF
    (tmp_path / "x-ubyte.gz").write_bytes(raw)
    with pytest.raises(SourceError, match="CRC"):
        opened(tmp_path / "x-ubyte.gz")


def test_what_is_no_array_of_pictures_is_refused_in_one_line(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{}, []], dtype=object), allow_pickle=True)
    (tmp_path / "text.npy").write_text("not an array")
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04" + bytes(50))
    raw = bytearray(saved(tmp_path / "header.npy", PICTURES).read_bytes())
    raw[raw.index(b"}")] = ord(" ")
    (tmp_path / "header.npy").write_bytes(raw)
    (tmp_path / "promise-ubyte").write_bytes(idx(PICTURES)[:4] + b"\xff" + idx(PICTURES)[5:])
    saved(tmp_path / "words.npy", np.array(["a"]))
    saved(tmp_path / "flat.npy", PICTURES.reshape(ROWS, -1))
    saved(tmp_path / "ints.npy", PICTURES.astype(np.int64))
    saved(tmp_path / "channels.npy", np.zeros((2, 5, 5, 2), np.uint8))
    saved(tmp_path / "empty.npy", PICTURES[:0])
    for name in (
        "objects.npy",
        "text.npy",
        "cut.npz",
        "words.npy",
        "flat.npy",
        "ints.npy",
        "channels.npy",
        "empty.npy",
    ):
        with pytest.raises(SourceError, match=name.replace(".", r"\.")):
            list(opened(tmp_path / name).listing())
    saved(tmp_path / "x.npy", PICTURES)
    saved(tmp_path / "y.npy", LABELS[:-1])
    source = opened(tmp_path / "x.npy", "?labels=y.npy")
    with pytest.raises(SourceError, match=r"labels int64 \[1029\] for 1030 rows"):
        list(source.read(listed(source)[0]))


def test_changed_arrays_change_the_listing_and_are_noticed_in_reading(tmp_path: Path) -> None:
    source = opened(saved(tmp_path / "x.npy", PICTURES))
    items, _ = listed(source)
    saved(tmp_path / "x.npy", 255 - PICTURES)
    os.utime(tmp_path / "x.npy", ns=(1, 1))
    later = opened(tmp_path / "x.npy")
    assert all(a != b for a, b in zip(items, later.listing(), strict=True))
    assert set(reasons(later.read(items)).values()) == {"changed while it was read"}
