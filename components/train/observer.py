"""Who is told how training goes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Protocol

from components.artifacts import write_bytes_atomically
from components.step import say
from models.alarms import Alarm

HISTORY_NAME = "history.jsonl"
EVENTS_NAME = "events.jsonl"
"""Alarms and roll-backs, in the order they happened."""
ROLLBACK = "roll-back"
SAMPLES_DIRECTORY = "samples"
DETAILS = re.compile(
    r"_log2$|_from_|^r[12]$|^held_out_(?!loss)|^posterior|^separation_|^sign_of|^gradient|^bits|^noise_to|^aggregate|^mutual|^wall"
)
"""Numbers that are kept but would crowd a terminal's line."""


class Observer(Protocol):
    """Is told of losses and of sample pictures, by the first process alone."""

    def on_numbers(self, images_seen: int, numbers: dict[str, float]) -> None:
        """Losses and diagnostics at a moment."""
        ...

    def on_samples(self, images_seen: int, png: bytes) -> None:
        """A grid of samples of the same latents at a moment."""
        ...

    def on_alarm(self, images_seen: int, alarm: Alarm) -> None:
        """Something went wrong at a moment."""
        ...

    def on_rollback(self, images_seen: int, text: str) -> None:
        """Training went back to a moment; everything told of later ones is void."""
        ...


class Files:
    """Keeps everything beside the checkpoint: ``history.jsonl``, ``events.jsonl`` and ``samples/*.png``."""

    def __init__(self, output: Path, resumed_at: int, rollbacks: int = 0) -> None:
        self._history = output / HISTORY_NAME
        self._samples = output / SAMPLES_DIRECTORY
        self._events = output / EVENTS_NAME
        kept = kept_events(read_events(output), resumed_at, rollbacks) if resumed_at else []
        if kept:
            write_bytes_atomically(self._events, _lines(kept))
        else:
            self._events.unlink(missing_ok=True)
        self._keep_until(resumed_at)

    def _keep_until(self, images_seen: int) -> None:
        """Drop what was told of later moments: it is told again."""
        rows = read_history(self._history.parent) if images_seen else []
        kept = [row for row in rows if row["images_seen"] <= images_seen]
        write_bytes_atomically(self._history, _lines(kept))

    def on_numbers(self, images_seen: int, numbers: dict[str, float]) -> None:
        with self._history.open("a") as stream:
            stream.write(json.dumps({"images_seen": images_seen, **numbers}) + "\n")

    def on_samples(self, images_seen: int, png: bytes) -> None:
        write_bytes_atomically(self._samples / f"{images_seen:012d}.png", png)

    def on_alarm(self, images_seen: int, alarm: Alarm) -> None:
        self._tell(images_seen, alarm.name, f"{alarm.reason}; {alarm.remedy}" if alarm.remedy else alarm.reason)

    def on_rollback(self, images_seen: int, text: str) -> None:
        self._tell(images_seen, ROLLBACK, text)
        self._keep_until(images_seen)
        for picture in self._samples.glob("[0-9]*.png"):
            if int(picture.stem) > images_seen:
                picture.unlink()

    def _tell(self, images_seen: int, name: str, text: str) -> None:
        with self._events.open("a") as stream:
            stream.write(json.dumps({"images_seen": images_seen, "event": name, "text": text}) + "\n")


def kept_events(events: list[dict[str, Any]], resumed_at: int, rollbacks: int) -> list[dict[str, Any]]:
    """What had happened when a checkpoint was saved; what came after it happens, and is told, again.

    Args:
        events: in the order they happened.
        resumed_at: images that the checkpoint had seen.
        rollbacks: that lay behind it. What was told before the last of them is of moments that never come again.
    """
    kept, behind = [], 0
    for event in events:
        behind += event["event"] == ROLLBACK
        if behind < rollbacks or (behind == rollbacks and event["images_seen"] <= resumed_at):
            kept.append(event)
    return kept


class Terminal:
    """One line on standard error for every log interval."""

    def __init__(self, budget: int) -> None:
        self._budget = budget

    def on_numbers(self, images_seen: int, numbers: dict[str, float]) -> None:
        shown = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items() if not DETAILS.search(name))
        say(f"{min(1.0, images_seen / self._budget):.0%}  {images_seen:,} images  {shown}")

    def on_samples(self, images_seen: int, png: bytes) -> None:
        pass

    def on_alarm(self, images_seen: int, alarm: Alarm) -> None:
        say(f"alarm: {alarm.name}: {alarm.reason}." + (f" What helps: {alarm.remedy}." if alarm.remedy else ""))

    def on_rollback(self, images_seen: int, text: str) -> None:
        say(f"rolled back: {text}")


def read_history(checkpoint: Path) -> list[dict[str, float]]:
    """The numbers of a training run, oldest first; a last line cut short by a kill is dropped."""
    return _read_lines(checkpoint / HISTORY_NAME)


def read_events(checkpoint: Path) -> list[dict[str, Any]]:
    """Alarms and roll-backs of a training run, oldest first, each with ``images_seen``, ``event`` and ``text``."""
    return _read_lines(checkpoint / EVENTS_NAME)


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def _read_lines(path: Path) -> list[dict[str, Any]]:
    rows = []
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
