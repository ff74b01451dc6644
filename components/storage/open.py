"""A durable place from its URI."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlparse

from components.storage.files import FileStorage
from components.storage.s3 import S3Storage
from components.storage.storage import Storage
from models.errors import ConfigurationError


def open_storage(uri: str) -> Storage:
    """The place that a URI names: a path, ``file:///path``, ``s3://bucket/prefix`` or ``minio://bucket/prefix``.

    Raises:
        ConfigurationError: for another scheme.
    """
    parts = urlparse(uri)
    if parts.scheme in ("s3", "minio"):
        return S3Storage(parts.netloc, parts.path.strip("/"))
    if parts.scheme in ("", "file"):
        return FileStorage(Path(parts.path if parts.scheme else uri))
    raise ConfigurationError(f"{uri} is not a place that can be written to.", "Give a path, or s3://bucket/prefix.")
