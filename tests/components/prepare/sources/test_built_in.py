"""Digits, mixtures and stacked digits: rows in blocks, the same however they are shared out."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from components.prepare.settings import DataSettings
from components.prepare.sources.open import open_source
from components.prepare.sources.source import Rows, Source
from models.errors import ConfigurationError
from models.mixtures import MIXTURES
from tests.components.prepare.sources.laws import classes, listed, obeys


def opened(source: str, rows: int = 2_500) -> Source:
    return open_source(DataSettings(source=source, rows=rows))


def samples(source: Source) -> np.ndarray:
    return np.concatenate([entry.samples for entry in obeys(source) if isinstance(entry, Rows)])


def test_the_digits_are_five_thousand_rows_of_ten_classes() -> None:
    items, rejections = listed(opened("digits"))
    assert sum(item.count for item in items) == 5_000 and len(items) > 1 and not rejections
    entries = list(opened("digits").read(items))
    assert all(isinstance(entry, Rows) and entry.samples.shape[1:] == (1, 28, 28) for entry in entries)
    assert set(Counter(classes(entries).values()).items()) == {(str(digit), 500) for digit in range(10)}


@pytest.mark.parametrize("name", sorted(MIXTURES))
def test_a_mixtures_rows_are_those_of_one_draw(name: str) -> None:
    source = opened(f"mixture:{name}")
    expected, modes = MIXTURES[name].sample(2_500, 0)
    assert np.array_equal(samples(source), expected)
    assert [*classes(obeys(source)).values()] == [f"mode {mode}" for mode in modes]
    assert source.kind == "vector" and source.mixture is not None
    assert next(opened(f"mixture:{name}", 2_501).listing()) != next(source.listing())


def test_stacked_digits_hold_three_digits_and_are_named_by_them() -> None:
    items, _ = listed(opened("digits"))
    known: dict[bytes, str | None] = {}
    for entry in opened("digits").read(items):
        assert isinstance(entry, Rows)
        known |= dict(zip((sample.tobytes() for sample in entry.samples), entry.class_names, strict=True))
    source = opened("stacked-mnist", 1_500)
    items, _ = listed(source)
    assert [item.count for item in items] == [1_024, 476]
    entries = list(source.read(items))
    for entry in entries:
        assert isinstance(entry, Rows) and entry.samples.shape[1:] == (3, 28, 28)
        for sample, name in zip(entry.samples, entry.class_names, strict=True):
            assert name == "".join(str(known[channel[None].tobytes()]) for channel in sample)
    assert len(set(classes(entries).values())) > 700  # of a thousand, 777 are expected
    (alone,) = source.read(items[1:])
    assert isinstance(alone, Rows) and isinstance(entries[1], Rows)
    assert np.array_equal(alone.samples, entries[1].samples)


def test_stacking_what_is_not_ten_classes_of_grey_rows_is_refused() -> None:
    source = opened("stacked-mnist?source=mixture:ring8", 10)
    with pytest.raises(ConfigurationError, match="not grey"):
        list(source.read(listed(source)[0]))
    with pytest.raises(ConfigurationError, match="stacks what is stacked"):
        opened("stacked-mnist?source=stacked-mnist")
    with pytest.raises(ConfigurationError, match="source and root"):
        opened("stacked-mnist?source=digits&root=/x")
