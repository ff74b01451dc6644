"""Runs in a directory of this machine, and what they cached."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from components.artifacts import is_taken
from models.errors import ArtifactError
from pipelines.housekeeping.plan import Item
from pipelines.local import CACHE_DIRECTORY, LOCK_NAME, LOG_NAME

TIMED = re.compile(r"(.+)-\d{8}-\d{6}")
"""``<recipe>-<time>``: the runs of a recipe are counted together."""
IN_USE = timedelta(hours=1)
"""A cached file may be read by a run that has just found it."""


def local_items(root: Path, now: datetime) -> Iterator[Item]:
    """The runs of a directory, and its cache. What no run left is not looked at.

    Args:
        root: such as ``runs``.
        now: with a time zone.
    """
    latest = (root / "latest").resolve() if (root / "latest").is_symlink() else None
    for path in sorted(root.glob("*")):
        if path.is_symlink() or not (path / LOG_NAME).is_file():
            continue
        protected = ""
        if is_taken(path, LOCK_NAME):
            protected = "going on"
        elif path.resolve() == latest:
            protected = "runs/latest"
        match = TIMED.fullmatch(path.name)
        size, modified = _measured(path)
        yield Item("run", match[1] if match else path.name, str(path), modified, size, protected)
    for entry in sorted((root / CACHE_DIRECTORY).glob("*/*")):
        size, modified = _measured(entry)
        protected = "in use" if now - modified < IN_USE else ""
        yield Item("cache", entry.parent.name, str(entry), modified, size, protected, counted=False)


def remove_local(path: Path) -> None:
    """Remove a run's directory, or a cached file or directory. One that is gone already is as good.

    Raises:
        ArtifactError: if a run has begun in it, or it cannot be removed; what could be removed of it is.
    """
    if is_taken(path, LOCK_NAME):
        raise ArtifactError(f"{path}: a run has begun in it.", "It stays.")
    try:
        if path.is_dir():
            # What makes it a run goes last: a half-removed one is found and finished by the next attempt.
            for part in sorted(path.iterdir(), key=lambda part: part.name == LOG_NAME):
                shutil.rmtree(part) if part.is_dir() and not part.is_symlink() else part.unlink()
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise ArtifactError(f"{path} cannot be removed: {error.strerror}.", "Remove it by hand.") from error


def _measured(path: Path) -> tuple[int, datetime]:
    """Bytes below a path and when the newest of its files was written."""
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file() and not one.is_symlink()]
    stats = [one.stat() for one in files] or [path.stat()]
    newest = datetime.fromtimestamp(max(stat.st_mtime for stat in stats), UTC)
    return sum(stat.st_size for stat in stats), newest
