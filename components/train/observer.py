"""Who is told how training goes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Protocol

from components.artifacts import write_bytes_atomically
from components.step import say

HISTORY_NAME = "history.jsonl"
SAMPLES_DIRECTORY = "samples"
DETAILS = re.compile(r"_log2$|_from_|^r[12]$|^held_out_(?!loss)|^posterior")
"""Numbers that are kept but would crowd a terminal's line."""


class Observer(Protocol):
    """Is told of losses and of sample pictures, by the first process alone."""

    def on_numbers(self, images_seen: int, numbers: dict[str, float]) -> None:
        """Losses and diagnostics at a moment."""
        ...

    def on_samples(self, images_seen: int, png: bytes) -> None:
        """A grid of samples of the same latents at a moment."""
        ...


class Files:
    """Keeps everything beside the checkpoint: ``history.jsonl`` and ``samples/*.png``."""

    def __init__(self, output: Path, resumed_at: int) -> None:
        self._history = output / HISTORY_NAME
        self._samples = output / SAMPLES_DIRECTORY
        # What was told after the checkpoint is told again.
        kept = [row for row in read_history(output) if row["images_seen"] <= resumed_at] if resumed_at else []
        write_bytes_atomically(self._history, "".join(f"{json.dumps(row)}\n" for row in kept).encode())

    def on_numbers(self, images_seen: int, numbers: dict[str, float]) -> None:
        with self._history.open("a") as stream:
            stream.write(json.dumps({"images_seen": images_seen, **numbers}) + "\n")

    def on_samples(self, images_seen: int, png: bytes) -> None:
        write_bytes_atomically(self._samples / f"{images_seen:012d}.png", png)


class Terminal:
    """One line on standard error for every log interval."""

    def __init__(self, budget: int) -> None:
        self._budget = budget

    def on_numbers(self, images_seen: int, numbers: dict[str, float]) -> None:
        shown = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items() if not DETAILS.search(name))
        say(f"{min(1.0, images_seen / self._budget):.0%}  {images_seen:,} images  {shown}")

    def on_samples(self, images_seen: int, png: bytes) -> None:
        pass


def read_history(checkpoint: Path) -> list[dict[str, float]]:
    """The numbers of a training run, oldest first; a last line cut short by a kill is dropped."""
    path = checkpoint / HISTORY_NAME
    rows = []
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
