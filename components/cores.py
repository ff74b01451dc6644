"""How many cores there are for us."""

from __future__ import annotations

import os


def available_cores() -> int:
    """Cores that this process may use, at least 1.

    Where the system knows affinities (Linux) these count: a container or ``taskset`` may give fewer cores than the
    machine has. Elsewhere, macOS among them, it is the machine's number.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
