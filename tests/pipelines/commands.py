"""The command line as tests call it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Said(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


Ganvas = Callable[..., Said]


def assert_one_error(said: Said, code: int, *words: str) -> None:
    assert said.code == code
    assert said.out == ""
    lines = [line for line in said.err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, said.err
    for word in words:
        assert word in lines[0]
