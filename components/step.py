"""What every KFP adapter does around its one core function."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from components.artifacts import full_disk
from models.errors import GanvasError

WORK_SECONDS = "work_seconds"
SAID_MARK = "» "
"""Begins the lines that are meant for people, among everything that an engine prints."""
ERROR_MARK = "error: "


def say(line: str) -> None:
    """One line for people, on standard error."""
    print(f"{SAID_MARK}{line}", file=sys.stderr, flush=True)


@contextmanager
def step(*artifacts: Any) -> Iterator[None]:
    """One clear line instead of a traceback for errors that are meant to be read; time on the artifacts.

    Args:
        artifacts: KFP artifacts that get the seconds of the work itself, without interpreter and imports of the
            pipeline's engine, as metadata.
    """
    started = time.perf_counter()
    try:
        yield
    except (GanvasError, OSError) as error:
        explained = full_disk(error) if isinstance(error, OSError) else error
        if explained is None:
            raise
        print(f"{ERROR_MARK}{explained}", file=sys.stderr, flush=True)
        raise SystemExit(explained.exit_code) from None
    for artifact in artifacts:
        artifact.metadata[WORK_SECONDS] = round(time.perf_counter() - started, 3)
    # The process ends soon: spare the interpreter its last search for cycles, seconds after torch or mlflow.
    gc.freeze()
