"""How many cores this process may use: of the machine, of its affinity, of its container's quota."""

from __future__ import annotations

import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def available_cores() -> int:
    """Cores that this process may use, at least 1."""
    # Only Linux tells the affinity; elsewhere all cores are ours.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        return min(cores, quota_cores(_QUOTA.read_text(), cores))
    except OSError:  # no container, or another kind of one
        return cores


def quota_cores(cpu_max: str, cores: int) -> int:
    """Cores of a quota, rounded up: ``MICROSECONDS PERIOD`` as cgroup v2 writes it; ``cores`` if it sets none."""
    quota, _, period = cpu_max.strip().partition(" ")
    if not (quota.isdecimal() and period.isdecimal() and int(quota) and int(period)):
        return cores
    return -(-int(quota) // int(period))
