"""The launcher's fault table: each fault, what the user reads, what is left behind."""

from __future__ import annotations

import re

import pytest

from tests.components.launch.faults import ROWS, Row, World, run_row


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fault.replace(" ", "-"))
def test_what_the_user_reads_and_what_is_left(row: Row, world: World) -> None:
    seen = run_row(row, world)
    assert seen.failed == row.fails, seen.text
    for expected in row.reads:
        assert re.search(expected, seen.text), f"{expected} is not in:\n{seen.text}"
    assert "Traceback" not in seen.text
    assert len([name for name in seen.left if "-node-" not in name]) == len(row.left)
    if row.fails:
        assert not (world.work / "out" / "checkpoint.json").exists()
    else:
        assert (world.work / "out" / "checkpoint.json").exists()
        assert world.place.directories() == []  # nothing of it in the durable place either
