"""Waiting for a cluster, which has its own time."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.kind.shell import StepFailed

Look = Callable[[], str]
"""Says what is still missing; empty once nothing is. What it raises as StepFailed is missing, too."""


INTERVAL_SECONDS = 3.0


def wait_until(what: str, look: Look, timeout_seconds: float) -> None:
    """Look again and again until nothing is missing.

    Raises:
        StepFailed: at the time limit, with what was missing at the last look.
        Hopeless: as a look raises it.
    """
    end = time.monotonic() + timeout_seconds
    while missing := _missing(look):
        if time.monotonic() >= end:
            raise StepFailed(f"{what}: not within {timeout_seconds:.0f} s. {missing}")
        time.sleep(INTERVAL_SECONDS)


def _missing(look: Look) -> str:
    try:
        return look()
    except StepFailed as failure:
        return failure.message
