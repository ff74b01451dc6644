"""The order of class names."""

from __future__ import annotations

import re
from collections.abc import Iterable


def in_natural_order(names: Iterable[str]) -> list[str]:
    """Sorted as people count: ``mode 2`` before ``mode 10``."""

    def key(name: str) -> tuple[list[tuple[int, int, str]], str]:
        parts = re.split(r"(\d+)", name)
        return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part], name

    return sorted(names, key=key)
