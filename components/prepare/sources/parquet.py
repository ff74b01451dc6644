"""Pictures in a column of Parquet files, as data sets on the Hugging Face Hub have them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from components.prepare.manifest import MixtureParameters
from components.prepare.sources.blocks import block, rejected, row_name, rows_of
from components.prepare.sources.held import Held
from components.prepare.sources.names import CHANGED, LARGEST_BYTES, TOO_LARGE, not_empty, unreadable
from components.prepare.sources.source import Encoded, Entry, Item, Rejection
from models.errors import ConfigurationError

IMAGE_COLUMNS = ("image", "img", "picture", "bytes")
LABEL_COLUMNS = ("label", "labels", "class", "class_name", "fine_label", "target")
NO_PICTURE = "no picture in this row"
NO_CLASS = "no class in this row"
BATCH_ROWS = 64


@dataclass(frozen=True)
class _Columns:
    """Which columns are read; ``names`` are the classes that integers stand for, if that is stated."""

    image: str
    label: str | None
    names: tuple[str, ...] | None


class ParquetSource:
    """Rows of one or many files; a row group is an item.

    The image column holds a file's bytes, or the struct ``{bytes, path}``. Classes are strings, integers, or integers
    that stand for the names of a ``ClassLabel``.
    """

    kind: Literal["image", "vector"] = "image"
    sequential = False
    mixture: MixtureParameters | None = None

    def __init__(self, files: Sequence[Held], name: str, image: str | None = None, label: str | None = None) -> None:
        self._files = list(files)
        self._image, self._label = image, label
        self.name = name

    def listing(self) -> Iterator[Item | Rejection]:
        """
        Raises:
            SourceError: if no file can be read or none has rows.
            ConfigurationError: if it is not clear which column holds the pictures.
        """
        yield from not_empty(self._listed(), self.name, "rows")

    def _listed(self) -> Iterator[Item | Rejection]:
        for file in self._files:
            try:
                with _opened(file) as table:
                    self._columns(table, file)
                    groups = [table.metadata.row_group(index) for index in range(table.metadata.num_row_groups)]
                    sizes = [(group.num_rows, group.total_byte_size) for group in groups]
            except (OSError, ValueError) as error:  # all of Arrow's errors are one of these
                yield Rejection(file.name, unreadable(error))
                continue
            start = 0
            for rows, size_bytes in sizes:
                if rows:
                    yield block(file.name, start, start + rows, size_bytes, file.stamp)
                start += rows

    def read(self, items: Sequence[Item]) -> Iterator[Entry]:
        files = {file.name: file for file in self._files}
        shares: dict[str, list[Item]] = {}
        for item in items:
            shares.setdefault(rows_of(item)[0], []).append(item)
        for name, share in shares.items():
            file = files[name]
            try:
                table = _opened(file)
            except (OSError, ValueError) as error:
                for item in share:
                    yield from rejected(item, unreadable(error))
                continue
            with table:
                columns = self._columns(table, file)
                starts = _group_starts(table)
                for item in share:
                    _, start, stop = rows_of(item)
                    if not item.tag.startswith(f"{file.stamp}:") or starts.get(start, (0, 0))[1] != stop:
                        yield from rejected(item, CHANGED)
                    else:
                        yield from _group(table, columns, item, starts[start][0])

    def _columns(self, table: Any, file: Held) -> _Columns:
        import pyarrow.types as types

        schema = table.schema_arrow
        for option, name in (("image", self._image), ("label", self._label)):
            if name is not None and name not in schema.names:
                raise ConfigurationError(
                    f"{file.name} has no column {name!r}.", f"Give ?{option}= one of: {', '.join(schema.names)}."
                )
        holds = [
            field.name
            for field in schema
            if _is_binary(field.type)
            or (
                types.is_struct(field.type)
                and any(part.name == "bytes" and _is_binary(part.type) for part in field.type)
            )
        ]
        image = self._image or next((name for name in IMAGE_COLUMNS if name in holds), None)
        if image is None and len(holds) == 1:
            image = holds[0]
        if image is None or image not in holds:
            raise ConfigurationError(
                f"{file.name}: it is not clear which column holds pictures' bytes.",
                f"Give ?image= one of: {', '.join(holds) or 'none does'}.",
            )
        label = self._label or next((name for name in LABEL_COLUMNS if name in schema.names and name != image), None)
        return _Columns(image, label, _class_label(schema, label) if label else None)


def _opened(file: Held) -> Any:
    import pyarrow.parquet

    return pyarrow.parquet.ParquetFile(file.path, page_checksum_verification=True, pre_buffer=False)


def _is_binary(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _group_starts(table: Any) -> dict[int, tuple[int, int]]:
    """Index and end of each row group by its first row."""
    starts, start = {}, 0
    for index in range(table.metadata.num_row_groups):
        stop = start + table.metadata.row_group(index).num_rows
        if stop > start:
            starts[start] = (index, stop)
        start = stop
    return starts


def _class_label(schema: Any, label: str) -> tuple[str, ...] | None:
    """Names of the classes that the Hub's metadata states."""
    try:
        feature = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][label]
        return tuple(str(name) for name in feature["names"]) if feature["_type"] == "ClassLabel" else None
    except (KeyError, TypeError, ValueError):
        return None


def _group(table: Any, columns: _Columns, item: Item, group: int) -> Iterator[Entry]:
    """The rows of one row group, a few at a time."""
    name, row, stop = rows_of(item)
    wanted = [columns.image] + ([columns.label] if columns.label else [])
    try:
        for batch in table.iter_batches(BATCH_ROWS, row_groups=[group], columns=wanted, use_threads=False):
            pictures = batch.column(columns.image).to_pylist()
            labels = batch.column(columns.label).to_pylist() if columns.label else [None] * len(pictures)
            for picture, label in zip(pictures, labels, strict=True):
                yield _row(row_name(name, row), picture, label, columns)
                row += 1
        reason = CHANGED
    except (OSError, ValueError) as error:
        reason = unreadable(error)
    for left in range(row, stop):
        yield Rejection(row_name(name, left), reason)


def _row(name: str, picture: Any, label: Any, columns: _Columns) -> Entry:
    content = picture.get("bytes") if isinstance(picture, dict) else picture
    if content is None:
        return Rejection(name, NO_PICTURE)
    if len(content) > LARGEST_BYTES:
        return Rejection(name, TOO_LARGE)
    if columns.label is None:
        return Encoded(name, content)
    if columns.names is not None and isinstance(label, int):
        label = columns.names[label] if 0 <= label < len(columns.names) else None
    return Rejection(name, NO_CLASS) if label is None else Encoded(name, content, str(label))
