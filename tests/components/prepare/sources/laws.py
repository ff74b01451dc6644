"""Laws that every source keeps."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Iterable

from components.prepare.sources.source import Encoded, Entry, Item, Rejection, Rows, Source


def listed(source: Source) -> tuple[list[Item], list[Rejection]]:
    """Items and rejections of the listing."""
    entries = list(source.listing())
    items = [entry for entry in entries if isinstance(entry, Item)]
    return items, [entry for entry in entries if isinstance(entry, Rejection)]


def keys(entries: Iterable[Entry]) -> Counter[tuple[object, ...]]:
    """One key for every sample or rejection, by name and content."""
    found: Counter[tuple[object, ...]] = Counter()
    for entry in entries:
        if isinstance(entry, Encoded):
            found[entry.name, entry.content, entry.class_name] += 1
        elif isinstance(entry, Rejection):
            found[entry.name, entry.reason] += 1
        else:
            assert len(entry.names) == len(entry.samples) == len(entry.class_names)
            for name, sample, class_name in zip(entry.names, entry.samples, entry.class_names, strict=True):
                found[name, sample.shape, sample.dtype.str, sample.tobytes(), class_name] += 1
    return found


def obeys(source: Source) -> list[Entry]:
    """Assert the laws of listing and reading; every entry.

    What is listed comes out once, by itself and in any two partitions; a listing is the same twice and in another
    process; names survive to JSON.
    """
    items, _ = listed(source)
    assert len({item.name for item in items}) == len(items)
    again = pickle.loads(pickle.dumps(source))
    assert list(again.listing()) == list(source.listing())
    for item in items:
        assert json.loads(json.dumps([item.name, item.tag])) == [item.name, item.tag]
        assert item.size_bytes >= 0 < item.count
    whole = list(source.read(items))
    found = keys(whole)
    assert set(found.values()) <= {1}
    assert found.total() == sum(item.count for item in items)
    assert keys([*again.read(items[1::2]), *source.read(items[::2])]) == found
    assert keys(source.read(items[::-1])) == found
    assert all(not isinstance(entry, Rows) or entry.samples.dtype.name in ("uint8", "float32") for entry in whole)
    return whole


def classes(entries: Iterable[Entry]) -> dict[str, str | None]:
    """The class of every sample by its name."""
    found: dict[str, str | None] = {}
    for entry in entries:
        if isinstance(entry, Encoded):
            found[entry.name] = entry.class_name
        elif isinstance(entry, Rows):
            found |= dict(zip(entry.names, entry.class_names, strict=True))
    return found


def reasons(entries: Iterable[Item | Entry]) -> dict[str, str]:
    """The reason of every rejection by its name."""
    return {entry.name: entry.reason for entry in entries if isinstance(entry, Rejection)}
