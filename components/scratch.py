"""Directories under the system's temporary one that only this user writes to, and turns in them."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.errors import SourceError


def private_directory(name: str) -> Path:
    """A directory of this user, the same for all of their processes on this machine.

    Raises:
        SourceError: if others may write to it: what lies there could not be trusted.
    """
    directory = Path(tempfile.gettempdir()) / f"{name}-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    status = directory.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022 or directory.is_symlink():
        raise SourceError(f"{directory} may be written by others.", "Remove it, or set TMPDIR.")
    return directory


@contextmanager
def one_at_a_time(directory: Path) -> Iterator[None]:
    """Processes take turns in a directory: the others wait."""
    descriptor = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
