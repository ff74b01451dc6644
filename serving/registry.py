"""What the model registry says about an alias, and how its bundle is fetched.

Over HTTP the registry is read by MLflow's REST API; a store in a file or database is read by mlflow itself,
imported only then. Every function blocks and belongs to a thread beside the event loop.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import sqlite3
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from serving.errors import RegistryError
from serving.signature import SIGNATURE_NAME, parse_signature

VERDICT_TAG = "ganvas.verdict"
_TIMEOUT_SECONDS = 10.0
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


def open_registry(uri: str) -> Registry:
    """The reader for a tracking URI; it connects at its first use."""
    return RestRegistry(uri) if uri.startswith(("http://", "https://")) else StoreRegistry(uri)


class RestRegistry:
    """An MLflow server, over HTTP."""

    def __init__(self, uri: str) -> None:
        self._uri = uri.rstrip("/")

    def resolve(self, name: str, alias: str) -> RegisteredVersion | None:
        """See :class:`Registry`."""
        try:
            found = self._call("registered-models/alias", name=name, alias=alias)["model_version"]
            tags = {tag["key"]: tag["value"] for tag in found.get("tags", [])}
            return _version(name, found["version"], found["creation_timestamp"], tags)
        except _Absent:
            return None
        except (KeyError, TypeError, ValueError) as error:
            raise RegistryError(f"{self._uri} gave an answer that is not MLflow's.", "Check tracking_uri.") from error

    def download(self, version: RegisteredVersion, directory: Path) -> None:
        """See :class:`Registry`."""
        try:
            answer = self._call("model-versions/get-download-uri", name=version.name, version=version.version)
        except _Absent as error:
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
        return _fetch_bundle(_RemoteFiles(base, self._authorization()), directory)

    def _call(self, method: str, **query: str) -> dict[str, Any]:
        url = f"{self._uri}/api/2.0/mlflow/{method}?{urllib.parse.urlencode(query)}"
        content = _get(url, self._authorization(), _MAX_DOCUMENT_BYTES)
        try:
            document = json.loads(content)
        except ValueError as error:
            raise RegistryError(f"{self._uri} does not answer as MLflow does.", "Check tracking_uri.") from error
        return document if isinstance(document, dict) else {}

    def _authorization(self) -> dict[str, str]:
        """MLflow's own variables, read at each call: a mounted secret may change."""
        if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
            return {"Authorization": f"Bearer {token}"}
        if user := os.environ.get("MLFLOW_TRACKING_USERNAME"):
            pair = f"{user}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
            return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        return {}


class StoreRegistry:
    """A store that mlflow opens itself: ``sqlite:////path/mlflow.db``."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._client: Any = None

    def resolve(self, name: str, alias: str) -> RegisteredVersion | None:
        """See :class:`Registry`."""
        if self._client is None and not self._has_aliases():
            return None
        try:
            found = self._open().get_model_version_by_alias(name, alias)
        except RegistryError:
            raise
        except Exception as error:  # of mlflow and of its database driver
            # An alias that is not there is "INVALID_PARAMETER_VALUE" in MLflow, as is a bad name.
            if getattr(error, "error_code", "") in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise RegistryError(f"{self._uri} cannot be read: {_first_line(error)}.") from error
        return _version(name, found.version, found.creation_timestamp, found.tags)

    def download(self, version: RegisteredVersion, directory: Path) -> None:
        """See :class:`Registry`."""
        try:
            root = self._open().get_model_version_download_uri(version.name, version.version)
        except Exception as error:
            raise RegistryError(f"{self._uri} cannot be read: {_first_line(error)}.") from error
        if urllib.parse.urlsplit(root).scheme not in ("file", ""):
            raise RegistryError(f"the artifacts of {version.name} lie at {root}, which serving cannot read yet.")
        _fetch_bundle(_LocalFiles(root), directory)

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
        if self._client is None:
            try:
                from mlflow import MlflowClient  # 2 s, and only for such a store
            except ImportError as error:
                raise RegistryError(
                    f"{self._uri} needs mlflow, which is not installed here.",
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
        files.fetch(f"bundle/{graph.file}", directory / graph.file, graph.size_bytes)
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
    def __init__(self, base: str, headers: Mapping[str, str]) -> None:
        self._base = base
        self._headers = headers

    def fetch(self, name: str, target: Path, limit: int) -> None:
        try:
            target.write_bytes(_get(f"{self._base}/{name}", self._headers, limit))
        except _Absent as error:
            raise RegistryError(f"the version has no {name}.", "Promote it again.") from error


class _Absent(Exception):
    """The server says that there is no such thing."""


def _get(url: str, headers: Mapping[str, str], limit: int) -> bytes:
    """The body of an answer of at most ``limit`` bytes."""
    host = urllib.parse.urlsplit(url).netloc
    try:
        request = urllib.request.Request(url, headers=dict(headers))
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
            content: bytes = answer.read(limit + 1)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 404 or (error.code == 400 and b"alias" in error.read(4096)):
                raise _Absent from error
            raise RegistryError(f"{host} answered {error.code} {error.reason}.", _remedy(error.code)) from error
    except (OSError, ValueError) as error:
        raise RegistryError(f"{host} cannot be reached: {_first_line(error)}.", "Check tracking_uri.") from error
    if len(content) > limit:
        raise RegistryError(f"{url} is larger than the {limit} bytes that are expected.")
    return content


def _remedy(code: int) -> str:
    match code:
        case 401:
            return "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
        case 403:
            return "Let the MLflow server accept this host: --allowed-hosts."
        case _:
            return ""


def _first_line(error: Exception) -> str:
    return (str(getattr(error, "reason", None) or error).splitlines() or [type(error).__name__])[0].rstrip(".")
