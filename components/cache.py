"""What was computed once and need not be again: files by the hash of everything they follow from.

There is a cache only where the environment names a directory for it; a cluster's engine keeps its own.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components import environment
from components.artifacts import sha256_of_json, write_bytes_atomically, written_atomically
from components.storage.storage import in_order

Arrays = dict[str, npt.NDArray[Any]]


def cached_arrays(kind: str, key: Mapping[str, Any], make: Callable[[], Arrays]) -> Arrays:
    """Arrays by name, from the cache or made and put there.

    Args:
        kind: what they are, one word.
        key: everything they follow from, as JSON values. What is left out here goes stale.
        make: computes them.
    """
    path = _path(kind, key, ".npz")
    if path is None:
        return make()
    try:
        with np.load(path, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        arrays = make()  # absent, or damaged: zip's checksums tell
        stream = io.BytesIO()
        np.savez(stream, allow_pickle=False, **arrays)
        write_bytes_atomically(path, stream.getvalue())
        return arrays


def cached_directory(kind: str, key: Mapping[str, Any], output: Path, make: Callable[[Path], None]) -> None:
    """Fill ``output``, which is new or empty, by ``make`` or with the files that it once made for the same key.

    The documents among them are copied last: they say that the rest is whole.
    """
    entry = _path(kind, key, "")
    if entry is None:
        make(output)
        return
    if not entry.is_dir():
        entry.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=entry.parent) as work:
            made = Path(work) / "made"
            make(made)
            try:
                made.rename(entry)
            except OSError:  # another process was faster
                if not entry.is_dir():
                    raise
    output.mkdir(parents=True, exist_ok=True)
    for path in in_order(entry):
        with path.open("rb") as source, written_atomically(output / path.name) as stream:
            shutil.copyfileobj(source, stream)


def _path(kind: str, key: Mapping[str, Any], suffix: str) -> Path | None:
    directory = os.environ.get(environment.CACHE)
    return Path(directory) / kind / f"{sha256_of_json(dict(key))}{suffix}" if directory else None
