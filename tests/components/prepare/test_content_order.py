"""The order of content on disk is the one that numpy finds in memory, however the rows were cut into units."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from components.prepare import content_order, units
from components.prepare.content_order import RECORD, ContentOrder
from components.prepare.splits import content_hash
from components.prepare.tally import Tally
from components.prepare.unit_rows import UnitRows
from components.prepare.units import Samples, UnitWriter

CLASSES = ["cat", "dog"]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "_INDEX_ROWS", 7)
    monkeypatch.setattr(content_order, "_BLOCK_ROWS", 5)
    monkeypatch.setattr(content_order, "_MERGED_ROWS", 4)


def rows() -> tuple[npt.NDArray[np.uint8], list[str]]:
    """Sixty pictures of which some stand twice, and their classes."""
    random = np.random.Generator(np.random.PCG64(3))
    pictures = random.integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)
    return np.concatenate([pictures, pictures[:20]]), [CLASSES[number % 2] for number in random.integers(0, 2, 60)]


def written(place: Path, sizes: Sequence[int]) -> list[Path]:
    pictures, names = rows()
    found, start = [], 0
    for number, size in enumerate(sizes):
        part = slice(start, start + size)
        with UnitWriter(place / f"unit-{number}") as unit:
            if size:
                unit.add(
                    Samples([str(row) for row in range(size)], pictures[part], names[part], [9] * size, [8] * size)
                )
        found.append(place / f"unit-{number}")
        start += size
    return found


def order_of(place: Path, sizes: Sequence[int], excluded: Sequence[int] = ()) -> tuple[ContentOrder, list[Path]]:
    found = [unit for unit, size in zip(written(place, sizes), sizes, strict=True) if size]
    numbers = []
    for unit in found:
        names = units.read_unit(unit).classes
        numbers.append(np.array([*(CLASSES.index(name) + 1 for name in names), 0], dtype=np.uint32))
    return ContentOrder.of(found, numbers, excluded, place), found


def all_of(order: ContentOrder) -> npt.NDArray[Any]:
    records = np.empty(len(order), RECORD)
    for first, block in order.blocks():
        records[first : first + len(block)] = block
    return records


@pytest.mark.parametrize("sizes", [[60], [1, 0, 59], [8] * 7 + [4]])
def test_rows_come_in_the_order_of_content_and_then_of_class(tmp_path: Path, sizes: list[int]) -> None:
    pictures, names = rows()
    expected = sorted((content_hash(row), name) for row, name in zip(pictures, names, strict=True))
    order, places = order_of(tmp_path, sizes)
    with closing(order), closing(UnitRows(places, [1, 8, 8], "|u1")) as samples:
        records = all_of(order)
        assert [(r["sha256"].tobytes(), CLASSES[r["class_number"] - 1]) for r in records] == expected
        assert [content_hash(row) for row in samples.read(records)] == [content for content, _ in expected]
        assert (order.at(np.array([41, 3])) == records[[41, 3]]).all()
        assert order.at(np.array([41]))[0]["sha256"].tobytes() == expected[41][0]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"unit-{n}" for n in range(len(sizes)))


def test_excluded_classes_are_not_there(tmp_path: Path) -> None:
    order, _ = order_of(tmp_path, [30, 30], excluded=[1])
    with closing(order):
        assert set(all_of(order)["class_number"]) == {2}
        assert len(order) == rows()[1].count("dog")


def test_the_tally_does_not_depend_on_how_rows_pass(tmp_path: Path) -> None:
    order, _ = order_of(tmp_path, [20, 40])
    with closing(order):
        records = all_of(order)
    splits = (np.arange(60) % 3).astype(np.int8)
    whole, parts = Tally(CLASSES, 10), Tally(CLASSES, 10)
    whole.add(records, splits)
    for start in range(0, 60, 7):
        parts.add(records[start : start + 7], splits[start : start + 7])
    assert whole.fingerprint() == parts.fingerprint()
    for tally in (whole, parts):
        assert (tally.total, tally.contents, tally.exact_duplicates, tally.upscaled) == (60, 40, 20, 60)
        pairs = {(r["sha256"].tobytes(), int(r["class_number"])) for r in records}
        assert tally.pairs == len(pairs)
        assert (tally.widths, tally.heights) == ({9: 60}, {8: 60})
        assert sum(map(tally.rows_of, range(3))) == 60
