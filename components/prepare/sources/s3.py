"""Pictures that are objects of an S3-compatible bucket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from components.prepare.manifest import MixtureParameters
from components.prepare.sources.names import (
    LARGEST_BYTES,
    NO_PICTURE,
    TOO_LARGE,
    class_of,
    in_classes,
    is_picture,
    not_empty,
)
from components.prepare.sources.source import Encoded, Entry, Item, Rejection
from components.storage.objects import Bucket, ObjectInfo, Unreadable
from components.storage.retry import Retry
from models.errors import SourceError, StorageError

EMPTY_PART = "empty folder name"


class S3Source:
    """Objects under a prefix, named and sorted into classes as the files of a folder are.

    Each body is verified, and is that of the listed ETag: an object that was replaced since is rejected.
    """

    kind: Literal["image", "vector"] = "image"
    sequential = False
    mixture: MixtureParameters | None = None

    def __init__(self, bucket: str, prefix: str, retry: Retry | None = None) -> None:
        """
        Args:
            bucket: its name.
            prefix: without a slash at its end; empty for the whole bucket.
            retry: how often is asked again.
        """
        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""
        self._retry = retry
        self.name = prefix.rpartition("/")[2] or bucket

    def listing(self) -> Iterator[Item | Rejection]:
        place = f"s3://{self._bucket}/{self._prefix}"
        yield from not_empty(in_classes(self._listed()), place, "pictures")

    def read(self, items: Sequence[Item]) -> Iterator[Entry]:
        objects = (ObjectInfo(f"{self._prefix}{item.name}", item.size_bytes, item.tag) for item in items)
        try:
            for one, body in Bucket(self._bucket, self._retry).read_many(objects):
                name = one.key.removeprefix(self._prefix)
                if isinstance(body, Unreadable):
                    yield Rejection(name, body.reason)
                else:
                    yield Encoded(name, body, class_of(name))
        except StorageError as error:
            raise SourceError(error.message, error.remedy) from error

    def _listed(self) -> Iterator[Item | Rejection]:
        try:
            for one in Bucket(self._bucket, self._retry).listing(self._prefix):
                name = one.key.removeprefix(self._prefix)
                if not name or name.endswith("/"):  # a folder's own mark, as consoles put there
                    continue
                if not is_picture(name):
                    yield Rejection(name, NO_PICTURE, candidate=False)
                elif "" in name.split("/"):
                    yield Rejection(name, EMPTY_PART)
                elif one.size_bytes > LARGEST_BYTES:
                    yield Rejection(name, TOO_LARGE)
                else:
                    yield Item(name, one.size_bytes, one.etag)
        except StorageError as error:
            raise SourceError(error.message, error.remedy) from error
