"""Pictures or vectors in the rows of one array."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from components.prepare.manifest import MixtureParameters
from components.prepare.sources.array_files import Table, keys_of, read_table
from components.prepare.sources.blocks import blocks, rejected, row_name, rows_of
from components.prepare.sources.held import Held, held
from components.prepare.sources.layouts import as_pictures, as_vectors, layout_of
from components.prepare.sources.names import CHANGED, not_empty, printable
from components.prepare.sources.source import Entry, Item, Rejection, Rows
from models.errors import SourceError

IMAGE_KEYS = ("images", "x", "x_train", "data", "samples", "arr_0")
LABEL_KEYS = ("labels", "label", "y", "y_train", "targets", "arr_1")
TRUNCATED = "truncated file"


class ArraysSource:
    """Rows of .npy, .npz or IDX; blocks of 1,024 rows are its items.

    Classes are in another array of the same .npz, or in a file of their own, named from the directory of the
    pictures' file; beside ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` is found without being named.
    """

    mixture: MixtureParameters | None = None

    def __init__(
        self, file: Held, images: str | None = None, labels: str | None = None, layout: str | None = None
    ) -> None:
        """Reads the headers.

        Raises:
            SourceError: if there is no array, or one of neither pictures nor vectors.
            ConfigurationError: if an option does not fit it.
        """
        self._file, self._images = file, images
        self._labels = self._place_of_labels(labels)
        table = self._table()
        self._layout = layout_of(table.values.shape, table.values.dtype, layout, str(file.path))
        self.kind: Literal["image", "vector"] = "vector" if self._layout == "vector" else "image"
        self.sequential = file.path.suffix in (".npz", ".gz")
        self.name = file.name.removesuffix(".gz").rpartition(".")[0] or file.name

    def listing(self) -> Iterator[Item | Rejection]:
        table = self._table()
        row_bytes = table.values.dtype.itemsize * int(np.prod(table.values.shape[1:]))
        yield from not_empty(
            blocks(self._file.name, table.rows, row_bytes, self._stamp()), str(self._file.path), "rows"
        )

    def read(self, items: Sequence[Item]) -> Iterator[Entry]:
        table, stamp = self._table(), self._stamp()
        class_names = self._class_names(table)
        for item in items:
            if item.tag.startswith(f"{stamp}:"):
                yield from self._block(item, table, class_names)
            else:
                yield from rejected(item, CHANGED)

    def _block(self, item: Item, table: Table, class_names: Sequence[str | None]) -> Iterator[Entry]:
        name, start, stop = rows_of(item)
        there = table.values[start : min(stop, len(table.values))]
        pixels, reasons = as_vectors(there) if self._layout == "vector" else as_pictures(there, self._layout)
        reasons = reasons + [TRUNCATED] * (stop - start - len(reasons))
        kept = [offset for offset, reason in enumerate(reasons) if not reason]
        if kept:
            samples = pixels if len(kept) == len(pixels) else pixels[kept]
            rows = [start + offset for offset in kept]
            yield Rows([row_name(name, row) for row in rows], samples, [class_names[row] for row in rows])
        for offset, reason in enumerate(reasons):
            if reason:
                yield Rejection(row_name(name, start + offset), reason)

    def _table(self) -> Table:
        return read_table(self._file.path, self._images, IMAGE_KEYS, "images")

    def _stamp(self) -> str:
        return f"{self._file.stamp}:{self._labels.stamp}" if isinstance(self._labels, Held) else self._file.stamp

    def _place_of_labels(self, labels: str | None) -> Held | str | None:
        """A file, a key within .npz, or None for data without classes."""
        path = self._file.path
        keys = keys_of(path)
        if keys:
            return labels or next((key for key in LABEL_KEYS if key in keys and key != self._images), None)
        if labels:
            return held(path.parent / Path(labels).expanduser())
        beside = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
        return held(beside) if beside != path and beside.is_file() else None

    def _class_names(self, table: Table) -> Sequence[str | None]:
        if self._labels is None:
            return [None] * table.rows
        path = self._labels.path if isinstance(self._labels, Held) else self._file.path
        key = None if isinstance(self._labels, Held) else self._labels
        labels: Any = np.asarray(read_table(path, key, LABEL_KEYS, "labels").values)
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if labels.shape != (table.rows,) or labels.dtype.kind not in "iubUS":
            raise SourceError(
                f"{path} has labels {labels.dtype} {list(labels.shape)} for {table.rows} rows.",
                "Give one integer or string a row.",
            )
        if labels.dtype.kind == "S":
            return [printable(label.decode("utf-8", "surrogateescape")) for label in labels.tolist()]
        return [str(label) for label in labels.tolist()]
