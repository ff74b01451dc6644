"""Arrays in files: .npy and .npz of NumPy, and IDX, the format of MNIST."""

from __future__ import annotations

import gzip
import lzma
import math
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from models.errors import ConfigurationError, SourceError

IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
READ_BYTES = 1 << 20
MOST_MISSING_ROWS = 10_000_000
"""Rows that a header promises and a file lacks, above which the header is not believed."""
UNREADABLE = (
    *(OSError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    # What NumPy and zipfile say of headers that were altered.
    *(ValueError, TypeError, KeyError, SyntaxError, tokenize.TokenError, RuntimeError, OverflowError, MemoryError),
)


@dataclass(frozen=True)
class Table:
    """An array of rows; ``values`` has fewer than ``rows`` where the file ends too early."""

    values: npt.NDArray[Any]
    rows: int


def read_table(path: Path, key: str | None, usual_keys: Sequence[str], option: str) -> Table:
    """The array in a file, mapped and not read where the format allows.

    Args:
        path: .npy, .npz, or IDX, which may be compressed by gzip; the content decides which.
        key: the array's name within .npz; None tries the usual ones.
        usual_keys: names to try.
        option: how the key is given, for messages.

    Raises:
        SourceError: if the file cannot be read, or holds Python objects.
        ConfigurationError: if it is not clear which array is meant.
    """
    try:
        with path.open("rb") as stream:
            magic = stream.read(8)
            stream.seek(0)
            if magic.startswith(b"\x93NUMPY"):
                return _npy(path, stream)
            if magic.startswith(b"PK"):
                return _npz(path, key, usual_keys, option)
            if magic.startswith(b"\x1f\x8b"):
                with gzip.GzipFile(fileobj=stream) as unpacked:
                    return _idx(path, cast(IO[bytes], unpacked), mapped=False)
            return _idx(path, stream, mapped=True)
    except UNREADABLE as error:
        raise SourceError(
            f"{path} cannot be read as an array: {error}.", "Give .npy or .npz without Python objects, or IDX."
        ) from error


def keys_of(path: Path) -> list[str]:
    """Names of the arrays in .npz; none for another format."""
    with path.open("rb") as stream:
        if stream.read(2) != b"PK":
            return []
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except UNREADABLE as error:
        raise SourceError(f"{path} is not a whole .npz: {error}.", "Save it again.") from error


def _npy(path: Path, stream: IO[bytes]) -> Table:
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = read_header(stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    order = "F" if fortran_order else "C"
    return _mapped(path, stream.tell(), dtype, shape, order)


def _npz(path: Path, key: str | None, usual_keys: Sequence[str], option: str) -> Table:
    known = keys_of(path)
    chosen = key or next((name for name in usual_keys if name in known), known[0] if len(known) == 1 else None)
    if chosen is None or chosen not in known:
        raise ConfigurationError(
            f"{path} has no array {chosen!r}." if chosen else f"{path}: it is not clear which array is meant.",
            f"Give ?{option}= one of: {', '.join(known)}.",
        )
    with np.load(path, allow_pickle=False) as arrays:
        values = arrays[chosen]
    return Table(values, len(values) if values.ndim else 0)


def _idx(path: Path, stream: IO[bytes], *, mapped: bool) -> Table:
    head = stream.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in IDX_TYPES or not head[3]:
        raise ValueError("it is none of .npy, .npz, IDX")
    dtype = np.dtype(IDX_TYPES[head[2]])
    bounds = stream.read(4 * head[3])
    if len(bounds) < 4 * head[3]:
        raise ValueError("its header is cut off")
    shape = tuple(int(bound) for bound in np.frombuffer(bounds, ">u4"))
    if mapped:
        return _mapped(path, stream.tell(), dtype, shape, "C")
    return _whole_rows(_all_that_comes(stream), dtype, shape)


def _all_that_comes(stream: Any) -> bytes:
    content = bytearray()
    try:
        while chunk := stream.read1(READ_BYTES):  # read() would lose what precedes the break
            content += chunk
    except (EOFError, zlib.error):
        pass  # the rows that are not there are rejected one by one
    return bytes(content)


def _whole_rows(content: bytes, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Table:
    row_bytes = dtype.itemsize * math.prod(shape[1:])
    rows = min(shape[0], len(content) // row_bytes) if row_bytes else 0
    values = np.frombuffer(content, dtype, rows * row_bytes // dtype.itemsize)
    return _believed(Table(values.reshape(rows, *shape[1:]), shape[0]))


def _mapped(path: Path, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...], order: Any) -> Table:
    if not shape or dtype.itemsize == 0:
        raise ValueError("it has no rows")
    row_bytes = dtype.itemsize * math.prod(shape[1:])
    there = path.stat().st_size - offset
    rows = min(shape[0], there // row_bytes) if row_bytes else 0
    if rows < shape[0] and order == "F":
        raise ValueError("it ends too early, and its rows are not one after the other")
    if rows == 0:
        return _believed(Table(np.empty((0, *shape[1:]), dtype), shape[0]))
    values = np.memmap(path, dtype, "r", offset, (rows, *shape[1:]), order)
    return _believed(Table(values, shape[0]))


def _believed(table: Table) -> Table:
    if table.rows - len(table.values) > MOST_MISSING_ROWS:
        raise ValueError(f"it promises {table.rows:,} rows and has {len(table.values):,}")
    return table
