"""Shards written row by row, in constant memory."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.prepare.manifest import Shard


def _header(shape: tuple[int, ...], dtype: npt.DTypeLike) -> bytes:
    stream = io.BytesIO()
    description = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, description)
    return stream.getvalue()


class ShardWriter:
    """One ``.npy`` file of known length, hashed as it is written."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._stream = path.open("wb")
        self._digest = hashlib.sha256()
        self._write(_header(shape, dtype))

    def _write(self, content: Any) -> None:
        self._stream.write(content)
        self._digest.update(content)

    def add(self, rows: npt.NDArray[Any]) -> None:
        """Append rows [n, ...]."""
        self._write(np.ascontiguousarray(rows).data)

    def close(self) -> str:
        """Hex SHA-256 of the file, which is on the disk now."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        return self._digest.hexdigest()


class SplitWriter:
    """The shards of one split: as few as the limit allows, of sizes that differ by one at most."""

    def __init__(self, directory: Path, split: str, rows: int, shard_rows: int) -> None:
        self._directory, self._split = directory, split
        count = -(-rows // shard_rows)
        self._sizes = [rows * (shard + 1) // count - rows * shard // count for shard in range(count)]
        self.shards: list[Shard] = []
        self._samples: ShardWriter | None = None
        self._labels: ShardWriter | None = None
        self._left = 0

    def add(self, samples: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> None:
        """Append rows [n, ...] and their labels int64 [n]."""
        while len(samples):
            if self._samples is None or self._labels is None:
                self._left = self._sizes[len(self.shards)]
                path = self._directory / f"{self._split}-{len(self.shards):05d}.npy"
                self._samples = ShardWriter(path, (self._left, *samples.shape[1:]), samples.dtype)
                self._labels = ShardWriter(path.with_suffix(".labels.npy"), (self._left,), np.int64)
            taken = min(self._left, len(samples))
            self._samples.add(samples[:taken])
            self._labels.add(labels[:taken])
            samples, labels = samples[taken:], labels[taken:]
            self._left -= taken
            if self._left == 0:
                self._finish(self._samples, self._labels)
                self._samples = self._labels = None

    def _finish(self, samples: ShardWriter, labels: ShardWriter) -> None:
        self.shards.append(
            Shard(
                samples=f"{self._directory.name}/{samples.path.name}",
                labels=f"{self._directory.name}/{labels.path.name}",
                rows=self._sizes[len(self.shards)],
                samples_sha256=samples.close(),
                labels_sha256=labels.close(),
            )
        )
