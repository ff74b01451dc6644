"""The files of a bundle, copied to a directory from where they lie; what they hold is verified afterwards."""

from __future__ import annotations

import shutil
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Protocol

from serving.bundle.signature import SIGNATURE_NAME, parse_signature
from serving.errors import RegistryError
from serving.registry.fetch import Absent, Origin

MAX_DOCUMENT_BYTES = 4 << 20
_MAX_FILE_BYTES = 2 << 30


class Files(Protocol):
    """A place that holds files."""

    def fetch(self, name: str, target: Path, limit: int) -> None:
        """Copy one of at most ``limit`` bytes.

        Raises:
            RegistryError: if it is not there, is larger, or cannot be had.
        """


def fetch_bundle(files: Files, directory: Path, *, folder: str = "") -> None:
    """Fetch ``signature.json`` and then exactly the files that it names, which are plain names.

    Args:
        folder: where in their place they lie, with a slash at its end.

    Raises:
        RegistryError, BundleError: if one cannot be had, or the signature is none.
    """
    path = directory / SIGNATURE_NAME
    files.fetch(f"{folder}{SIGNATURE_NAME}", path, MAX_DOCUMENT_BYTES)
    signature = parse_signature(path.read_bytes(), f"{folder}{SIGNATURE_NAME}")
    for graph in signature.graphs.values():
        files.fetch(f"{folder}{graph.file}", directory / graph.file, min(graph.size_bytes, _MAX_FILE_BYTES))
    files.fetch(f"{folder}{signature.golden.file}", directory / signature.golden.file, _MAX_FILE_BYTES)


class LocalFiles:
    """A directory of this machine, by its path or its ``file://`` address."""

    def __init__(self, root: str) -> None:
        self._root = Path(urllib.request.url2pathname(urllib.parse.urlsplit(root).path))

    def fetch(self, name: str, target: Path, limit: int) -> None:
        """See :class:`Files`."""
        source = self._root / name
        try:
            if source.stat().st_size > limit:
                raise RegistryError(f"{source} is larger than the {limit} bytes that are expected.")
            shutil.copyfile(source, target)
        except OSError as error:
            raise RegistryError(f"{source} cannot be read: {error.strerror}.") from error


class RemoteFiles:
    """What a server hands out below an address, until a time of ``time.monotonic``."""

    def __init__(self, server: Origin, base: str, deadline: float) -> None:
        self._server = server
        self._base = base
        self._deadline = deadline

    def fetch(self, name: str, target: Path, limit: int) -> None:
        """See :class:`Files`."""
        try:
            self._server.copy(f"{self._base}/{name}", target, limit=limit, deadline=self._deadline)
        except Absent as error:
            raise RegistryError(f"the version has no {name}.", "Promote or export it again.") from error
