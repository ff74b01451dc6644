"""Sorting on disk gives what sorting in memory does, and leaves nothing behind."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.prepare import sorted_lines
from components.prepare.sorted_lines import SortedLines


@given(names=st.lists(st.text(max_size=3), max_size=60))
@settings(deadline=None)
def test_whatever_the_runs_the_order_is_that_of_the_key(
    names: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    lines = [json.dumps([name, number]) + "\n" for number, name in enumerate(names)]
    place = tmp_path_factory.mktemp("lines")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorted_lines, "SORTED_AT_ONCE", 3)
        patch.setattr(sorted_lines, "_OPEN_RUNS", 2)
        with closing(SortedLines(place, lambda line: str(json.loads(line)[0]))) as found:
            for line in lines:
                found.add(line)
            assert list(found) == sorted(lines, key=lambda line: (json.loads(line)[0], line))
            assert len(found) == len(lines)
    assert not list(place.iterdir())


def test_it_can_be_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorted_lines, "SORTED_AT_ONCE", 2)
    with closing(SortedLines(tmp_path)) as found:
        for line in ("c\n", "a\n", "b\n"):
            found.add(line)
        assert list(found) == list(found) == ["a\n", "b\n", "c\n"]
