"""How many cores there are for us: of the machine, of the process's affinity, of the container's quota.

Serving, which imports nothing of the rest, has the same question and the same answer in serving/cores.py.
"""

from __future__ import annotations

import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def available_cores() -> int:
    """Cores that this process may use, at least 1.

    Where the system knows affinities (Linux) these count: ``taskset`` may give fewer cores than the machine has; and so
    does the CPU limit of a container, which no affinity shows. Elsewhere, macOS among them, it is the machine's number.
    """
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
