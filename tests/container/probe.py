"""Runs inside an image, with nothing but its python3, and prints as JSON what the image is like from there."""

from __future__ import annotations

import importlib.util
import json
import os
import stat
import sys
import tempfile
from importlib.metadata import distributions
from pathlib import Path

TOOLS = ("pip", "uv", "hatchling")
HEAVY = ("torch", "kfp", "mlflow")
PLACES = ("/opt", "/home", "/usr", "/etc", "/var", "/srv", "/src")


def writable_by_all() -> list[str]:
    """Files and directories that anybody may write to, where none should be."""
    found = []
    for place in PLACES:
        for directory, names, files in os.walk(place):
            for path in (Path(directory, name) for name in (*names, *files)):
                mode = path.lstat().st_mode
                # A sticky directory, as /var/tmp, keeps its users apart.
                if mode & stat.S_IWOTH and not stat.S_ISLNK(mode) and not mode & stat.S_ISVTX:
                    found.append(str(path))
    return found


def writable_by_me() -> list[str]:
    """Top-level directories that this process could create a file in."""
    found = []
    for place in {"/", str(Path.cwd()), str(Path.home()), *PLACES, "/tmp", sys.prefix, "/run", "/var/tmp"}:
        try:
            with tempfile.TemporaryFile(dir=place):
                found.append(place)
        except OSError:
            pass
    return sorted(found)


def present(names: tuple[str, ...]) -> list[str]:
    """Those of the packages that could be imported."""
    return [name for name in names if importlib.util.find_spec(name)]


def status() -> dict[str, str]:
    """What the kernel says of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


if __name__ == "__main__":
    own = status()
    print(
        json.dumps(
            {
                "user": os.getuid(),
                "group": os.getgid(),
                "home": str(Path.home()),
                "prefix": sys.prefix,
                "safe_path": sys.flags.safe_path,
                "capabilities": int(own["CapEff"], 16),
                "no_new_privileges": own["NoNewPrivs"] == "1",
                "tools": present(TOOLS),
                "heavy": present(HEAVY),
                "distributions": len({entry.metadata["Name"] for entry in distributions()}),
                "writable_by_all": writable_by_all(),
                "writable_by_me": writable_by_me(),
            }
        )
    )
