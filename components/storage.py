"""Durable places for directories: the file system or S3. The pipeline's only file that speaks S3."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from models.errors import ConfigurationError, StorageError


class Storage(ABC):
    """A durable place that holds directories of files by name. A directory is pushed last file last."""

    @abstractmethod
    def directories(self) -> list[str]:
        """Names of the directories there."""

    @abstractmethod
    def push(self, source: Path, name: str) -> None:
        """Copy a directory's files there; its JSON documents go last, since they say that the rest is whole."""

    @abstractmethod
    def fetch(self, name: str, target: Path) -> None:
        """Copy a directory's files here."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a directory, if it is there."""


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


def _in_order(source: Path) -> list[Path]:
    return sorted((path for path in source.iterdir() if path.is_file()), key=lambda path: path.suffix == ".json")


class FileStorage(Storage):
    """A directory of the file system: a mounted volume."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def directories(self) -> list[str]:
        return sorted(path.name for path in self._root.glob("*") if path.is_dir())

    def push(self, source: Path, name: str) -> None:
        target = self._root / name
        try:
            target.mkdir(parents=True, exist_ok=True)
            for path in _in_order(source):
                partial = target / f".{path.name}.partial"
                shutil.copyfile(path, partial)
                partial.replace(target / path.name)
        except OSError as error:
            raise StorageError(f"{target} cannot be written: {error}.", "Name another checkpoint_uri.") from error

    def fetch(self, name: str, target: Path) -> None:
        target.mkdir(parents=True, exist_ok=True)
        for path in _in_order(self._root / name):
            shutil.copyfile(path, target / path.name)

    def remove(self, name: str) -> None:
        shutil.rmtree(self._root / name, ignore_errors=True)


class S3Storage(Storage):
    """A prefix of an S3-compatible bucket; endpoint and credentials by the ordinary AWS chain."""

    def __init__(self, bucket: str, prefix: str) -> None:
        import boto3
        from botocore.config import Config

        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""
        self._client: Any = boto3.client("s3", config=Config(retries={"max_attempts": 5, "mode": "standard"}))

    def directories(self) -> list[str]:
        pages = self._pages(Prefix=self._prefix, Delimiter="/")
        return sorted(
            entry["Prefix"].removeprefix(self._prefix).rstrip("/")
            for page in pages
            for entry in page.get("CommonPrefixes", [])
        )

    def push(self, source: Path, name: str) -> None:
        for path in _in_order(source):
            self._explained(self._client.upload_file, str(path), self._bucket, f"{self._prefix}{name}/{path.name}")

    def fetch(self, name: str, target: Path) -> None:
        target.mkdir(parents=True, exist_ok=True)
        keys = self._keys(name)
        for key in sorted(keys, key=lambda key: key.endswith(".json")):
            self._explained(self._client.download_file, self._bucket, key, str(target / key.rpartition("/")[2]))

    def remove(self, name: str) -> None:
        # The documents first: a half-removed directory must not read as whole.
        for key in sorted(self._keys(name), key=lambda key: not key.endswith(".json")):
            self._explained(self._client.delete_object, Bucket=self._bucket, Key=key)

    def _keys(self, name: str) -> list[str]:
        return [
            entry["Key"] for page in self._pages(Prefix=f"{self._prefix}{name}/") for entry in page.get("Contents", [])
        ]

    def _pages(self, **query: str) -> list[dict[str, Any]]:
        paginator = self._client.get_paginator("list_objects_v2")
        return list(self._explained(lambda: list(paginator.paginate(Bucket=self._bucket, **query))))

    def _explained(self, call: Any, *arguments: Any, **keywords: Any) -> Any:
        """The call's result; whatever went wrong in one line."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return call(*arguments, **keywords)
        except (BotoCoreError, ClientError, Boto3Error) as error:
            raise StorageError(
                f"s3://{self._bucket}/{self._prefix} does not answer as it should: {error}.",
                "Check the bucket, AWS_ENDPOINT_URL and the credentials.",
            ) from error
