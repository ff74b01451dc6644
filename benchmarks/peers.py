"""Packages of others to compare with, installed beside the project's environment and not into it."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent


@contextmanager
def installed(requirements: Sequence[str]) -> Iterator[None]:
    """Pinned requirements, without their dependencies, importable while the context lasts.

    Raises:
        RuntimeError: if there is neither pip nor uv.
    """
    with tempfile.TemporaryDirectory() as directory:
        command = [*_installer(), "--no-deps", "--quiet", "--target", directory, *requirements]
        subprocess.run(command, check=True)
        sys.path.append(directory)
        try:
            yield
        finally:
            sys.path.remove(directory)


def _installer() -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    own = ROOT / ".bootstrap" / "bin" / "uv"
    uv = str(own) if own.exists() else shutil.which("uv")
    if uv is None:
        raise RuntimeError("the peers need pip or uv: make setup brings uv")
    return [uv, "pip", "install", "--python", sys.executable]
