"""What the model registry says about an alias or a version, and how its bundle is fetched.

Over HTTP the registry is read by MLflow's REST API; a store in a file or database is read by mlflow itself,
imported only then. Every function blocks and belongs to a thread beside the event loop.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import urllib.parse
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, Protocol

from serving.errors import RegistryError
from serving.registry.fetch import Absent, first_line, without_credentials
from serving.registry.files import MAX_DOCUMENT_BYTES, Files, LocalFiles, RemoteFiles, fetch_bundle
from serving.registry.mlflow_server import MlflowServer
from serving.registry.s3 import MLFLOW_ENDPOINT_VARIABLE, S3
from serving.registry.version import RegisteredVersion
from serving.sources import parse_s3

VERDICT_TAG = "ganvas.verdict"
_ANSWER_SECONDS = 30.0
_FOLDER = "bundle/"  # beside MLflow's own files
_NOT_THERE = "RESOURCE_DOES_NOT_EXIST"
_PROXY = "/api/2.0/mlflow-artifacts/artifacts/"


class Registry(Protocol):
    """What the watcher needs of a registry."""

    def resolve(self, name: str, alias: str) -> RegisteredVersion | None:
        """The version that the alias points at; None if there is no such model or alias yet."""

    def find(self, name: str, version: str) -> RegisteredVersion | None:
        """One version of a model; None if there is none of this number."""

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
    return StoreRegistry(uri, download_seconds=download_seconds)


class RestRegistry:
    """An MLflow server, over HTTP."""

    def __init__(self, uri: str, *, download_seconds: float = 600.0) -> None:
        self._server = MlflowServer(uri)
        self._s3 = _artifacts_s3()
        self._uri = self._server.uri
        self._download_seconds = download_seconds

    def resolve(self, name: str, alias: str) -> RegisteredVersion | None:
        """See :class:`Registry`."""
        return self._version("registered-models/alias", name=name, alias=alias)

    def find(self, name: str, version: str) -> RegisteredVersion | None:
        """See :class:`Registry`."""
        return self._version("model-versions/get", name=name, version=version)

    def download(self, version: RegisteredVersion, directory: Path) -> None:
        """See :class:`Registry`."""
        try:
            answer = self._call("model-versions/get-download-uri", name=version.name, version=version.version)
        except Absent as error:
            raise RegistryError(f"version {version.version} of {version.name} is gone.") from error
        deadline = time.monotonic() + self._download_seconds
        root = str(answer.get("artifact_uri", ""))
        match urllib.parse.urlsplit(root).scheme:
            case "mlflow-artifacts":
                base = self._uri + _PROXY + urllib.parse.quote(urllib.parse.urlsplit(root).path.strip("/"))
                files: Files = RemoteFiles(self._server, base, deadline)
            case "http" | "https":
                files = RemoteFiles(self._server, root.rstrip("/"), deadline)
            case _:
                files = _artifact_files(root, version, self._s3, deadline)
        fetch_bundle(files, directory, folder=_FOLDER)

    def close(self) -> None:
        """See :class:`Registry`."""
        self._server.close()
        self._s3.close()

    def _version(self, method: str, **query: str) -> RegisteredVersion | None:
        try:
            found = self._call(method, **query)["model_version"]
            tags = {tag["key"]: tag["value"] for tag in found.get("tags", [])}
            return _version(query["name"], found["version"], found["creation_timestamp"], tags)
        except Absent:
            return None
        except (KeyError, TypeError, ValueError) as error:
            raise RegistryError(f"{self._uri} gave an answer that is not MLflow's.", "Check tracking_uri.") from error

    def _call(self, method: str, **query: str) -> dict[str, Any]:
        url = f"{self._uri}/api/2.0/mlflow/{method}?{urllib.parse.urlencode(query)}"
        content = self._server.read(url, limit=MAX_DOCUMENT_BYTES, seconds=_ANSWER_SECONDS)
        try:
            document = json.loads(content)
        except ValueError as error:
            raise RegistryError(f"{self._uri} does not answer as MLflow does.", "Check tracking_uri.") from error
        return document if isinstance(document, dict) else {}


class StoreRegistry:
    """A store that mlflow opens itself: ``sqlite:////path/mlflow.db``."""

    def __init__(self, uri: str, *, download_seconds: float = 600.0) -> None:
        self._uri = uri
        self._shown = without_credentials(uri)
        self._s3 = _artifacts_s3()
        self._download_seconds = download_seconds
        self._client: Any = None
        self._opening = threading.Lock()

    def resolve(self, name: str, alias: str) -> RegisteredVersion | None:
        """See :class:`Registry`."""
        if self._client is None and not self._has_any("registered_model_aliases"):
            return None
        try:
            found = self._open().get_model_version_by_alias(name, alias)
        except RegistryError:
            raise
        except Exception as error:  # of mlflow and of its database driver
            # An alias that is not there is "INVALID_PARAMETER_VALUE" in MLflow, as is a URI that it does not know.
            code = getattr(error, "error_code", "")
            if code == _NOT_THERE or (code == "INVALID_PARAMETER_VALUE" and "alias" in str(error)):
                return None
            raise self._unreadable(error) from error
        return _version(name, found.version, found.creation_timestamp, found.tags)

    def find(self, name: str, version: str) -> RegisteredVersion | None:
        """See :class:`Registry`."""
        if self._client is None and not self._has_any("model_versions"):
            return None
        try:
            found = self._open().get_model_version(name, version)
        except RegistryError:
            raise
        except Exception as error:  # as above
            if getattr(error, "error_code", "") == _NOT_THERE:
                return None
            raise self._unreadable(error) from error
        return _version(name, found.version, found.creation_timestamp, found.tags)

    def download(self, version: RegisteredVersion, directory: Path) -> None:
        """See :class:`Registry`."""
        try:
            root = self._open().get_model_version_download_uri(version.name, version.version)
        except RegistryError:
            raise
        except Exception as error:  # as above
            raise self._unreadable(error) from error
        deadline = time.monotonic() + self._download_seconds
        fetch_bundle(_artifact_files(root, version, self._s3, deadline), directory, folder=_FOLDER)

    def close(self) -> None:
        """See :class:`Registry`."""
        self._s3.close()

    def _unreadable(self, error: Exception) -> RegistryError:
        # mlflow's words may repeat the URI, and with it a password.
        words = first_line(error).replace(self._uri, self._shown)
        return RegistryError(f"{self._shown} cannot be read: {words}.", "Check tracking_uri.")

    def _has_any(self, table: Literal["registered_model_aliases", "model_versions"]) -> bool:
        """Whether a table has rows, asked without mlflow where the store is SQLite.

        mlflow makes a store where there is none, and two processes that make the same one at a time spoil
        it. A reader must do neither; an alias or a version is there only when the store is whole.
        """
        path = self._uri.removeprefix("sqlite:///").partition("?")[0]
        if not self._uri.startswith("sqlite:///"):
            return True
        if not Path(path).is_file():
            return False
        try:
            with closing(sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)) as connection:
                row = connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()
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


def _artifacts_s3() -> S3:
    """S3 as MLflow's clients reach it."""
    return S3(first_endpoint_variable=MLFLOW_ENDPOINT_VARIABLE)


def _artifact_files(root: str, version: RegisteredVersion, s3: S3, deadline: float) -> Files:
    """Where a version's artifacts lie, if neither an MLflow server nor another web server hands them out."""
    match urllib.parse.urlsplit(root).scheme:
        case "file" | "":
            return LocalFiles(root)
        case "s3":
            try:
                return RemoteFiles(s3, s3.url(*parse_s3(root)), deadline)
            except ValueError as error:
                raise RegistryError(f"the artifacts of {version.name} have a wrong address: {error}.") from error
        case scheme:
            raise RegistryError(
                f"the artifacts of {version.name} lie at {scheme}://, which serving cannot read.",
                "Run the MLflow server with --serve-artifacts, so that it hands them out itself.",
            )
