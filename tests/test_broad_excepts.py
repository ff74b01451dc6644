"""Who catches everything says why, and who silences the type checker says what."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("models", "components", "pipelines", "serving")
FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
BROAD = re.compile(r"^\s*except(\s+\(?(Base)?Exception\b.*)?:")


def unexplained(lines: list[str]) -> list[int]:
    """Numbers of lines that catch everything, without a comment on them or on the line before."""
    return [
        number
        for number, line in enumerate(lines, 1)
        if BROAD.match(line) and "#" not in line and not lines[number - 2].lstrip().startswith("#")
    ]


def test_the_rule_finds_what_it_is_for() -> None:
    text = "except:\nexcept Exception:\nexcept Exception as e:  # why\n# why\nexcept BaseException:\nexcept (OSError):"
    assert unexplained(text.splitlines()) == [1, 2]


def test_whatever_is_caught_there_is_a_reason() -> None:
    assert len(FILES) > 300
    found = {str(path.relative_to(ROOT)): unexplained(path.read_text().splitlines()) for path in FILES}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_what_is_ignored_has_a_name() -> None:
    bare = re.compile(r"#\s*type: ignore(?!\[)")
    assert [str(path.relative_to(ROOT)) for path in FILES if bare.search(path.read_text())] == []
