"""A sign of the launcher's life beside the checkpoints: ``launcher/launcher.json``, renewed while it watches.

The train step may be killed so that it can delete nothing. Its nodes then stop by themselves, and not only when their
job's deadline comes. A retried step renews the mark before it takes the job up.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from components.storage import Storage
from models.errors import GanvasError, TrainingError

MARK = "launcher"
LOOKS_PER_TIMEOUT = 30
"""How often a node looks, within the time that it allows."""


@contextmanager
def renewed_mark(place: Storage, every_seconds: float) -> Iterator[None]:
    """Renew the mark while within, in a thread. A place that does not answer for a while is asked again.

    Raises:
        StorageError: if the first one cannot be written.
    """
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(every_seconds):
            with suppress(GanvasError, OSError):
                _write(place)

    _write(place)
    thread = threading.Thread(target=renew, name="launcher-mark", daemon=True)
    thread.start()
    try:
        yield
    except BaseException:  # after SIGTERM there is no time to wait for a place that hangs
        ended.set()
        raise
    ended.set()
    thread.join()  # what is cleared next must not come back


def silent_seconds(place: Storage) -> float | None:
    """Since the mark was renewed, by both machines' clocks; None where there is none, or the place does not answer."""
    with tempfile.TemporaryDirectory() as directory, suppress(GanvasError, OSError, ValueError, KeyError, TypeError):
        place.fetch(MARK, Path(directory))
        return time.time() - float(json.loads((Path(directory) / f"{MARK}.json").read_bytes())["renewed_at"])
    return None


def require_launcher(place: Storage, timeout_seconds: float) -> None:
    """Refuse to train for a launcher that is gone.

    Raises:
        TrainingError: if it was silent for longer than that.
    """
    silent = silent_seconds(place)
    if silent is not None and silent > timeout_seconds:
        raise TrainingError(
            f"The step that launched this training has been silent for {silent:,.0f} s: nobody waits for it any more.",
            "Run the pipeline again: it goes on from the last checkpoint.",
        )


@contextmanager
def stopped_without_launcher(place: Storage, timeout_seconds: float) -> Iterator[None]:
    """Send this process SIGTERM once the launcher was silent for too long: training writes a checkpoint and ends."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(timeout_seconds / LOOKS_PER_TIMEOUT):
            if (silent_seconds(place) or 0.0) > timeout_seconds:
                os.kill(os.getpid(), signal.SIGTERM)
                return

    thread = threading.Thread(target=look, name="launcher-mark", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()


def _write(place: Storage) -> None:
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / f"{MARK}.json").write_text(json.dumps({"renewed_at": time.time()}))
        place.push(Path(directory), MARK)
