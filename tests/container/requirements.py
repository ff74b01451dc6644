"""What the container test asks of a machine before it starts, each in one line with its remedy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

PACKAGES = ("podman", "buildah", "runc", "debootstrap")
"""Debian's packages; each brings a program of its own name."""
SYS_ADMIN = 21
"""The number of CAP_SYS_ADMIN, which mounting takes."""
FREE_BYTES = {"overlay": 22 << 30, "vfs": 60 << 30}
"""By storage driver: the packages' layer once as it is made, once committed, and its archive on the way."""


def missing_programs(find: Callable[[str], str | None] = shutil.which) -> str:
    """One line that names what is missing and how to install it; empty if nothing is.

    Args:
        find: gives a program's path, or None.
    """
    missing = [name for name in PACKAGES if find(name) is None]
    if not missing:
        return ""
    return (
        f"The container test needs {', '.join(missing)}: apt-get install -y --no-install-recommends "
        f"{' '.join(PACKAGES)} ca-certificates."
    )


def missing_rights(user: int, capabilities: int) -> str:
    """One line where this process may not do what debootstrap and mounts need; empty where it may.

    Args:
        user: 0 is root.
        capabilities: the effective ones, a bit each; root has few inside an ordinary container.
    """
    if user == 0 and capabilities >> SYS_ADMIN & 1:
        return ""
    return "The container test needs root, with the right to mount: run it with sudo, and not in a plain container."


def effective_capabilities() -> int:
    """This process's, as the kernel states them."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(dict(line.split(":\t", 1) for line in lines if ":\t" in line)["CapEff"], 16)


def missing_space(place: Path, driver: str, free_bytes: int) -> str:
    """One line where the disk is too small for the images; empty if it is not."""
    if free_bytes >= FREE_BYTES[driver]:
        return ""
    return (
        f"{place} has {free_bytes >> 30} GiB free, the container test needs {FREE_BYTES[driver] >> 30} with storage "
        f"driver {driver}: set TMPDIR."
    )


def free_bytes(place: Path) -> int:
    """What this user may still write under a directory."""
    status = os.statvfs(place)
    return status.f_bavail * status.f_frsize
