"""Where the versions of one model come from, and which one is wanted now.

Every function blocks and belongs to a thread beside the event loop; a source is asked by one thread at a time.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from pathlib import Path
from typing import Protocol

from serving.bundle.reader import Bundle, read_bundle, signature_bytes
from serving.bundle.signature import SIGNATURE_NAME
from serving.errors import BundleError, RegistryError
from serving.registry.fetch import Absent
from serving.registry.files import MAX_DOCUMENT_BYTES, RemoteFiles, fetch_bundle
from serving.registry.reader import Registry
from serving.registry.s3 import S3
from serving.registry.version import RegisteredVersion

_HEX_DIGITS = 12
_ANSWER_SECONDS = 30.0


class Source(Protocol):
    """What a follower needs of a model's source."""

    what: str
    """What is read, as in "the registry cannot be read"."""
    absent: str
    """Why there is no version; it holds after :meth:`resolve` gave None."""

    def resolve(self) -> RegisteredVersion | None:
        """The version that is wanted now; None if there is none yet.

        Raises:
            RegistryError: if that cannot be found out.
        """

    def fetch(self, version: RegisteredVersion) -> Bundle:
        """The verified bundle of a version.

        Raises:
            RegistryError: if it cannot be had.
            BundleError: if it is incomplete or altered.
        """

    def close(self) -> None:
        """End what is under way: the server stops, and its threads must."""


class _OfRegistry:
    what = "the registry"

    def __init__(self, registry: Registry, name: str) -> None:
        self._registry = registry
        self._name = name

    def fetch(self, version: RegisteredVersion) -> Bundle:
        """See :class:`Source`; no file is left behind."""
        with tempfile.TemporaryDirectory(prefix="ganvas-") as directory:
            self._registry.download(version, Path(directory))
            return read_bundle(Path(directory))

    def close(self) -> None:
        """See :class:`Source`; others of the same registry end with it."""
        self._registry.close()


class AliasSource(_OfRegistry):
    """A registered model by an alias, which moves."""

    def __init__(self, registry: Registry, name: str, alias: str) -> None:
        super().__init__(registry, name)
        self._alias = alias
        self.absent = f"no version has the alias {alias!r}"

    def resolve(self) -> RegisteredVersion | None:
        """See :class:`Source`."""
        return self._registry.resolve(self._name, self._alias)


class VersionSource(_OfRegistry):
    """A registered model in one version; its verdict may still change."""

    def __init__(self, registry: Registry, name: str, version: str) -> None:
        super().__init__(registry, name)
        self._version = version
        self.absent = f"there is no version {version}"

    def resolve(self) -> RegisteredVersion | None:
        """See :class:`Source`."""
        return self._registry.find(self._name, self._version)


class DirectorySource:
    """A bundle directory; another ``signature.json`` in it is another version."""

    what = "the bundle"

    def __init__(self, name: str, directory: Path) -> None:
        self._name = name
        self._directory = directory
        self.absent = ""

    def resolve(self) -> RegisteredVersion | None:
        """See :class:`Source`."""
        try:
            return bundle_version(self._name, hashlib.sha256(signature_bytes(self._directory)).hexdigest())
        except BundleError as error:
            self.absent = str(error)  # the signature is written last: without it, nothing is there yet
            return None

    def fetch(self, version: RegisteredVersion) -> Bundle:
        """See :class:`Source`."""
        return _same(read_bundle(self._directory), version)

    def close(self) -> None:
        """See :class:`Source`."""


class PrefixSource:
    """A bundle under a prefix in S3; another ``signature.json`` there is another version.

    Args:
        download_seconds: time that the files of one version get to arrive.
    """

    what = "the bundle"

    def __init__(self, name: str, s3: S3, bucket: str, prefix: str, *, download_seconds: float) -> None:
        self._name = name
        self._s3 = s3
        self._bucket = bucket
        self._prefix = prefix
        self._download_seconds = download_seconds
        self._seen: tuple[str, RegisteredVersion] | None = None
        place = "/".join(part for part in (bucket, prefix) if part)
        self.absent = f"there is no {SIGNATURE_NAME} at s3://{place}"

    def resolve(self) -> RegisteredVersion | None:
        """See :class:`Source`. The signature is read only where its ETag is another one, or there is none."""
        url = f"{self._base()}/{SIGNATURE_NAME}"
        try:
            etag = self._s3.etag(url)
            if self._seen is None or not etag or self._seen[0] != etag:
                content = self._s3.read(url, limit=MAX_DOCUMENT_BYTES, seconds=_ANSWER_SECONDS)
                self._seen = etag, bundle_version(self._name, hashlib.sha256(content).hexdigest())
        except Absent:
            return None
        return self._seen[1]

    def fetch(self, version: RegisteredVersion) -> Bundle:
        """See :class:`Source`; no file is left behind."""
        deadline = time.monotonic() + self._download_seconds
        with tempfile.TemporaryDirectory(prefix="ganvas-") as directory:
            fetch_bundle(RemoteFiles(self._s3, self._base(), deadline), Path(directory))
            return _same(read_bundle(Path(directory)), version)

    def close(self) -> None:
        """See :class:`Source`."""
        self._s3.close()

    def _base(self) -> str:
        return self._s3.url(self._bucket, self._prefix)


def bundle_version(name: str, signature_sha256: str) -> RegisteredVersion:
    """The version of a bundle that lies in a place by itself: named by how its signature's SHA-256 begins."""
    return RegisteredVersion(name, signature_sha256[:_HEX_DIGITS], created=0, verdict="missing")


def _same(bundle: Bundle, version: RegisteredVersion) -> Bundle:
    if not bundle.signature_sha256.startswith(version.version):
        raise RegistryError("the bundle changed while it was read.", "It is read again in a moment.")
    return bundle
