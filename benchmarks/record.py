"""Where a benchmark writes its table."""

from __future__ import annotations

import datetime
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

DIRECTORY = Path(__file__).parent.parent / "docs" / "benchmarks"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def write(name: str, title: str, command: str, body: str) -> Path:
    """Write ``docs/benchmarks/NAME.md`` with the date, the command, the revision and the machine."""
    revision = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=DIRECTORY, capture_output=True, text=True, check=False
    ).stdout.strip()
    import torch

    machine = f"{torch.get_num_threads()} threads, {platform.machine()}, torch {torch.__version__}"
    date = datetime.date.today().isoformat()
    path = DIRECTORY / f"{name}.md"
    path.write_text(f"# {title}\n\nBy `{command}` on {date}, revision {revision or 'unknown'}, {machine}.\n\n{body}\n")
    return path
