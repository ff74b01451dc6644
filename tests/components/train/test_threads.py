"""How many threads a training process takes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from components.cores import available_cores
from components.train.processes import joined_processes


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("variable", "setting", "expected"),
    [("1", 0, 1), ("3", 0, 3), ("3", 2, 2), ("", 0, None), ("0", 0, None), ("many", 0, None), ("-1", 0, None)],
)
def test_the_setting_goes_before_the_environment_and_that_before_the_cores(
    monkeypatch: pytest.MonkeyPatch, variable: str, setting: int, expected: int | None
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    with joined_processes(setting):
        assert torch.get_num_threads() == (available_cores() if expected is None else expected)
