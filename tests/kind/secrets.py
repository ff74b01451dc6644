"""The secrets of this run, as they were written into files."""

from __future__ import annotations

from pathlib import Path


def values_of(file: Path) -> dict[str, str]:
    """Names and values of a file of ``NAME=VALUE`` lines."""
    return dict(line.split("=", 1) for line in file.read_text().splitlines())
