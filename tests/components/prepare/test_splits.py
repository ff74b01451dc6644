"""Splits: leak-free first, then stable under appending, then independent of order, then fair to every class."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from components.prepare.core import prepare
from components.prepare.dataset import read_split
from components.prepare.manifest import REJECTED_NAME, Manifest
from components.prepare.merge import BRIDGES
from components.prepare.perceptual import NEAR_BITS, NEAR_STEPS, difference_in_steps, perceptual_hashes
from components.prepare.settings import DataSettings
from components.prepare.splits import bridges, content_hash, split_of, split_of_look
from tests.components.prepare.test_perceptual import smooth

SIDE = 16
Pictures = npt.NDArray[np.uint8]


def written(folder: Path, pictures: Pictures, first: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture.transpose(1, 2, 0)).save(folder / f"{first + number:04d}.png")
    return folder


def chosen(folder: Path, **changes: object) -> DataSettings:
    return DataSettings.model_validate(
        {"source": f"folder:{folder}", "image_size": SIDE, "channels": 3, "test_share": 0.3, **changes}
    )


def by_split(output: Path, manifest: Manifest) -> dict[str, Pictures]:
    return {name: np.array(read_split(output, manifest, name)[0]) for name in manifest.splits}


def twins(pictures: Pictures, seed: int = 1) -> Pictures:
    """The same pictures with noise that nobody sees."""
    noise = np.random.Generator(np.random.PCG64(seed)).integers(-3, 4, pictures.shape)
    return np.clip(pictures.astype(int) + noise, 0, 255).astype(np.uint8)


def look_alike(one: Pictures, others: Pictures) -> npt.NDArray[np.bool_]:
    """Which of the others look like one picture, by the definition itself."""
    bits = np.bitwise_count(perceptual_hashes(one[None]) ^ perceptual_hashes(others))
    return (bits <= NEAR_BITS) & (difference_in_steps(np.repeat(one[None], len(others), axis=0), others) <= NEAR_STEPS)


def rejected(output: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (output / REJECTED_NAME).read_text().splitlines()]


def test_nothing_looks_like_anything_of_another_split(tmp_path: Path) -> None:
    originals = smooth(120, SIDE)
    folder = written(tmp_path / "in", np.concatenate([originals, twins(originals), twins(originals, 2)]))
    splits = by_split(tmp_path / "out", prepare(chosen(folder), tmp_path / "out"))
    for name, pictures in splits.items():
        elsewhere = np.concatenate([other for key, other in splits.items() if key != name])
        assert not any(look_alike(picture, elsewhere).any() for picture in pictures)
    assert sum(map(len, splits.values())) + len(rejected(tmp_path / "out")) == 360
    assert {entry["reason"] for entry in rejected(tmp_path / "out")} == {BRIDGES}


def test_without_the_search_some_would(tmp_path: Path) -> None:
    """Negative control: the law above can fail."""
    originals = smooth(120, SIDE)
    folder = written(tmp_path / "in", np.concatenate([originals, twins(originals), twins(originals, 2)]))
    splits = by_split(tmp_path / "out", prepare(chosen(folder, near_duplicates=False), tmp_path / "out"))
    assert any(look_alike(picture, splits["train"]).any() for picture in splits["test"])


def test_most_of_what_looks_the_same_is_kept(tmp_path: Path) -> None:
    originals = smooth(120, SIDE)
    folder = written(tmp_path / "in", np.concatenate([originals, twins(originals)]))
    manifest = prepare(chosen(folder), tmp_path / "out")
    assert manifest.rejected < 0.2 * 240


def test_what_was_there_never_changes_sides(tmp_path: Path) -> None:
    pictures = np.concatenate([smooth(80, SIDE), smooth(80, SIDE, seed=5), twins(smooth(80, SIDE))])
    folder = written(tmp_path / "in", pictures[:80])
    before = by_split(tmp_path / "a", prepare(chosen(folder), tmp_path / "a"))
    written(folder, pictures[80:], first=80)
    after = by_split(tmp_path / "b", prepare(chosen(folder), tmp_path / "b"))
    side = {content_hash(picture): name for name, rows in after.items() for picture in rows}
    gone = {entry["sha256"] for entry in rejected(tmp_path / "b")}
    moved = 0
    for name, rows in before.items():
        for picture in rows:
            digest = content_hash(picture)
            assert side.get(digest) == name or digest.hex() in gone
            moved += digest not in side
    assert moved < 20  # left out because a newcomer looks like it from another side


def itself(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    return rows[:, None].astype(np.uint64)


def test_of_two_that_bridge_the_first_by_content_stays() -> None:
    looks = np.array([0b1111, 0b1001, 0b1111 << 40], dtype=np.uint64)
    pictures = np.full((3, 1, 8, 8), 100, dtype=np.uint8)
    assert bridges(looks, np.array([0, 1, 2], dtype=np.int8), itself, lambda rows: pictures[rows]) == {1: 0}
    assert bridges(looks, np.array([1, 1, 1], dtype=np.int8), itself, lambda rows: pictures[rows]) == {}
    pictures[1] += 50  # close by hash, and another picture all the same
    assert bridges(looks, np.array([0, 1, 2], dtype=np.int8), itself, lambda rows: pictures[rows]) == {}


def test_what_only_bridges_to_something_left_out_stays() -> None:
    """A chain: the second goes for the first's sake, and then nothing stands against the third."""
    looks = np.array([0b000011, 0b001001, 0b110000], dtype=np.uint64)
    looks[2] = looks[1] ^ np.uint64(0b11 << 20)
    pictures = np.full((3, 1, 8, 8), 100, dtype=np.uint8)
    found = bridges(looks, np.array([0, 1, 0], dtype=np.int8), itself, lambda rows: pictures[rows])
    assert found == {1: 0}


def test_copies_of_what_bridges_go_with_it() -> None:
    looks = np.array([0b11, 0b1001, 0b1001], dtype=np.uint64)
    pictures = np.full((3, 1, 8, 8), 100, dtype=np.uint8)
    copies = np.array([[0], [1], [1]], dtype=np.uint64)
    found = bridges(looks, np.array([0, 1, 1], dtype=np.int8), lambda rows: copies[rows], lambda rows: pictures[rows])
    assert found == {1: 0, 2: 0}


@pytest.mark.parametrize("draw", ["content", "look"])
def test_shares_are_kept_in_expectation(draw: str) -> None:
    settings = DataSettings(test_share=0.2, validation_share=0.1)
    if draw == "content":
        drawn = [split_of(content_hash(np.array([number])), settings) for number in range(20_000)]
    else:
        drawn = [split_of_look(number, settings) for number in range(20_000)]
    for name, share in (("test", 0.2), ("validation", 0.1), ("train", 0.7)):
        deviation = (share * (1 - share) / len(drawn)) ** 0.5
        assert abs(drawn.count(name) / len(drawn) - share) < 5 * deviation
