"""Directories under a prefix of a bucket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.storage.storage import Storage, Stored, in_order
from models.errors import StorageError


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

    def contents(self) -> list[Stored]:
        found: dict[str, Stored] = {}
        for entry in (entry for page in self._pages(Prefix=self._prefix) for entry in page.get("Contents", [])):
            name, below, _ = entry["Key"].removeprefix(self._prefix).partition("/")
            if below:
                known = found.get(name, Stored(name, 0, entry["LastModified"]))
                newest = max(known.modified, entry["LastModified"])
                found[name] = Stored(name, known.size_bytes + entry["Size"], newest)
        return [found[name] for name in sorted(found)]

    def push(self, source: Path, name: str) -> None:
        for path in in_order(source):
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
