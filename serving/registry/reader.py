"""What the model registry says about an alias, and how its bundle is fetched.

Over HTTP the registry is read by MLflow's REST API; a store in a file or database is read by mlflow itself,
imported only then. Every function blocks and belongs to a thread beside the event loop.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from serving.bundle.signature import SIGNATURE_NAME, parse_signature
from serving.errors import RegistryError
from serving.registry.fetch import Absent, Origin, first_line, without_credentials

VERDICT_TAG = "ganvas.verdict"
_ANSWER_SECONDS = 30.0
_MAX_DOCUMENT_BYTES = 4 << 20
_MAX_FILE_BYTES = 2 << 30
_PROXY = "/api/2.0/mlflow-artifacts/artifacts/"


@dataclass(frozen=True)
class RegisteredVersion:
    """A version that an alias points at."""

    name: str
    version: str
    created: int
    """When it was made, in ms since 1970: a deleted model's versions start again at 1."""
    verdict: str
    """``passed``, ``failed`` or ``missing``."""

    @property
    def identity(self) -> tuple[str, int]:
        """What tells two versions apart."""
        return self.version, self.created


class Registry(Protocol):
    """What the watcher needs of a registry."""

    def resolve(self, name: str, alias: str) -> RegisteredVersion | None:
        """The version that the alias points at; None if there is no such model or alias yet."""

    def download(self, version: RegisteredVersion, directory: Path) -> None:
        """Fetch the bundle of a version into an empty directory, unverified."""

    def close(self) -> None:
        """End what is under way: the server stops, and its threads must."""


def open_registry(uri: str, *, download_seconds: float = 600.0) -> Registry:
    """The reader for a tracking URI; it connects at its first use.

    Args:
        download_seconds: time that the files of one version get to arrive from a server.
    """
    if uri.startswith(("http://", "https://")):
        return RestRegistry(uri, download_seconds=download_seconds)
    return StoreRegistry(uri)


class RestRegistry:
    """An MLflow server, over HTTP."""

    def __init__(self, uri: str, *, download_seconds: float = 600.0) -> None:
        self._server = Origin(uri)
        self._uri = self._server.uri
        self._download_seconds = download_seconds

    def resolve(self, name: str, alias: str) -> RegisteredVersion | None:
        """See :class:`Registry`."""
        try:
            found = self._call("registered-models/alias", name=name, alias=alias)["model_version"]
            tags = {tag["key"]: tag["value"] for tag in found.get("tags", [])}
            return _version(name, found["version"], found["creation_timestamp"], tags)
        except Absent:
            return None
        except (KeyError, TypeError, ValueError) as error:
            raise RegistryError(f"{self._uri} gave an answer that is not MLflow's.", "Check tracking_uri.") from error

    def download(self, version: RegisteredVersion, directory: Path) -> None:
        """See :class:`Registry`."""
        try:
            answer = self._call("model-versions/get-download-uri", name=version.name, version=version.version)
        except Absent as error:
            raise RegistryError(f"version {version.version} of {version.name} is gone.") from error
        root = str(answer.get("artifact_uri", ""))
        match urllib.parse.urlsplit(root).scheme:
            case "mlflow-artifacts":
                base = self._uri + _PROXY + urllib.parse.quote(urllib.parse.urlsplit(root).path.strip("/"))
            case "http" | "https":
                base = root.rstrip("/")
            case "file" | "":
                return _fetch_bundle(_LocalFiles(root), directory)
            case scheme:
                raise RegistryError(
                    f"the artifacts of {version.name} lie at {scheme}://, which serving cannot read yet.",
                    "Run the MLflow server with --serve-artifacts, so that it hands them out itself.",
                )
        deadline = time.monotonic() + self._download_seconds
        return _fetch_bundle(_RemoteFiles(self._server, base, deadline), directory)

    def close(self) -> None:
        """See :class:`Registry`."""
        self._server.close()

    def _call(self, method: str, **query: str) -> dict[str, Any]:
        url = f"{self._uri}/api/2.0/mlflow/{method}?{urllib.parse.urlencode(query)}"
        content = self._server.read(url, limit=_MAX_DOCUMENT_BYTES, seconds=_ANSWER_SECONDS)
        try:
            document = json.loads(content)
        except ValueError as error:
            raise RegistryError(f"{self._uri} does not answer as MLflow does.", "Check tracking_uri.") from error
        return document if isinstance(document, dict) else {}


class StoreRegistry:
    """A store that mlflow opens itself: ``sqlite:////path/mlflow.db``."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._shown = without_credentials(uri)
        self._client: Any = None
        self._opening = threading.Lock()

    def resolve(self, name: str, alias: str) -> RegisteredVersion | None:
        """See :class:`Registry`."""
        if self._client is None and not self._has_aliases():
            return None
        try:
            found = self._open().get_model_version_by_alias(name, alias)
        except RegistryError:
            raise
        except Exception as error:  # of mlflow and of its database driver
            # An alias that is not there is "INVALID_PARAMETER_VALUE" in MLflow, as is a URI that it does not know.
            code = getattr(error, "error_code", "")
            if code == "RESOURCE_DOES_NOT_EXIST" or (code == "INVALID_PARAMETER_VALUE" and "alias" in str(error)):
                return None
            raise self._unreadable(error) from error
        return _version(name, found.version, found.creation_timestamp, found.tags)

    def download(self, version: RegisteredVersion, directory: Path) -> None:
        """See :class:`Registry`."""
        try:
            root = self._open().get_model_version_download_uri(version.name, version.version)
        except Exception as error:
            raise self._unreadable(error) from error
        if urllib.parse.urlsplit(root).scheme not in ("file", ""):
            shown = without_credentials(root)
            raise RegistryError(f"the artifacts of {version.name} lie at {shown}, which serving cannot read yet.")
        _fetch_bundle(_LocalFiles(root), directory)

    def close(self) -> None:
        """See :class:`Registry`."""

    def _unreadable(self, error: Exception) -> RegistryError:
        # mlflow's words may repeat the URI, and with it a password.
        words = first_line(error).replace(self._uri, self._shown)
        return RegistryError(f"{self._shown} cannot be read: {words}.", "Check tracking_uri.")

    def _has_aliases(self) -> bool:
        """Whether any alias is set, asked without mlflow where the store is SQLite.

        mlflow makes a store where there is none, and two processes that make the same one at a time spoil
        it. A reader must do neither; an alias is there only when the store is whole.
        """
        path = self._uri.removeprefix("sqlite:///").partition("?")[0]
        if not self._uri.startswith("sqlite:///"):
            return True
        if not Path(path).is_file():
            return False
        try:
            with closing(sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)) as connection:
                row = connection.execute("SELECT 1 FROM registered_model_aliases LIMIT 1").fetchone()
        except sqlite3.OperationalError:  # no such table yet, or it is being written
            return False
        except sqlite3.DatabaseError as error:
            raise RegistryError(f"{path} is not a database: {error}.", "Check tracking_uri.") from error
        return row is not None

    def _open(self) -> Any:
        with self._opening:  # several models look at a time, and mlflow makes its tables at the first
            if self._client is None:
                try:
                    from mlflow import MlflowClient  # 2 s, and only for such a store
                except ImportError as error:
                    raise RegistryError(
                        f"{self._shown} needs mlflow, which is not installed here.",
                        "Name an MLflow server instead.",
                    ) from error
                self._client = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
            return self._client


def _version(name: str, version: object, created: object, tags: Mapping[str, str]) -> RegisteredVersion:
    verdict = tags.get(VERDICT_TAG, "missing")
    return RegisteredVersion(
        name, str(version), int(str(created)), verdict if verdict in ("passed", "failed") else "missing"
    )


# -- fetching -----------------------------------------------------------------------------------------


class _Files(Protocol):
    def fetch(self, name: str, target: Path, limit: int) -> None: ...


def _fetch_bundle(files: _Files, directory: Path) -> None:
    """Fetch ``bundle/signature.json`` and then exactly the files that it names, which are plain names."""
    path = directory / SIGNATURE_NAME
    files.fetch(f"bundle/{SIGNATURE_NAME}", path, _MAX_DOCUMENT_BYTES)
    signature = parse_signature(path.read_bytes(), f"bundle/{SIGNATURE_NAME}")
    for graph in signature.graphs.values():
        files.fetch(f"bundle/{graph.file}", directory / graph.file, min(graph.size_bytes, _MAX_FILE_BYTES))
    files.fetch(f"bundle/{signature.golden.file}", directory / signature.golden.file, _MAX_FILE_BYTES)


class _LocalFiles:
    def __init__(self, root: str) -> None:
        self._root = Path(urllib.request.url2pathname(urllib.parse.urlsplit(root).path))

    def fetch(self, name: str, target: Path, limit: int) -> None:
        source = self._root / name
        try:
            if source.stat().st_size > limit:
                raise RegistryError(f"{source} is larger than the {limit} bytes that are expected.")
            shutil.copyfile(source, target)
        except OSError as error:
            raise RegistryError(f"{source} cannot be read: {error.strerror}.") from error


class _RemoteFiles:
    def __init__(self, server: Origin, base: str, deadline: float) -> None:
        self._server = server
        self._base = base
        self._deadline = deadline

    def fetch(self, name: str, target: Path, limit: int) -> None:
        try:
            self._server.copy(f"{self._base}/{name}", target, limit=limit, deadline=self._deadline)
        except Absent as error:
            raise RegistryError(f"the version has no {name}.", "Promote it again.") from error
