"""Reading from a registry's server: bounded in bytes and in time, with credentials for one origin only.

Every function blocks and belongs to a thread beside the event loop.
"""

from __future__ import annotations

import base64
import http.client
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from serving.errors import RegistryError

_STALL_SECONDS = 10.0
_CHUNK_BYTES = 1 << 20
_PORTS = {"http": 80, "https": 443}


class Absent(Exception):
    """The server says that there is no such thing."""


class Origin:
    """A server by its URI, and what it hands out; it and nobody else gets the credentials.

    Args:
        uri: ``http(s)://[USER:PASSWORD@]HOST[:PORT][/PATH]``.
    """

    def __init__(self, uri: str) -> None:
        self.uri = without_credentials(uri).rstrip("/")
        self._pair = unquote(urlsplit(uri).netloc.rpartition("@")[0])
        self._opener = urllib.request.build_opener(_NoRedirects)
        self._closed = threading.Event()

    def read(self, url: str, *, limit: int, seconds: float) -> bytes:
        """What lies at a URL, at most ``limit`` bytes.

        Raises:
            Absent: if nothing does.
            RegistryError: if it is larger, cannot be had, or not in that time.
        """
        return b"".join(self._parts(url, limit, time.monotonic() + seconds))

    def copy(self, url: str, target: Path, *, limit: int, deadline: float) -> None:
        """Write what lies at a URL into a file, at most ``limit`` bytes, until a time of ``time.monotonic``.

        Raises:
            Absent, RegistryError: see :meth:`read`.
        """
        with target.open("wb") as file:
            file.writelines(self._parts(url, limit, deadline))

    def close(self) -> None:
        """End what is under way, at its next bytes."""
        self._closed.set()

    def _parts(self, url: str, limit: int, deadline: float) -> Iterator[bytes]:
        url = without_credentials(url)
        host = urlsplit(url).netloc
        try:
            request = urllib.request.Request(url, headers=self._authorization(url))
            with self._opener.open(request, timeout=_STALL_SECONDS) as answer:
                size, promised = 0, answer.headers.get("content-length")
                while part := answer.read1(_CHUNK_BYTES):
                    size += len(part)
                    self._check(url, host, size, limit, deadline)
                    yield part
                if promised is not None and size < int(promised):
                    raise RegistryError(f"{host} broke off after {size} of {promised} bytes.")
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404 or (error.code == 400 and b"alias" in error.read(4096)):
                    raise Absent from error
                raise RegistryError(f"{host} answered {error.code} {error.reason}.", _remedy(error.code)) from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise RegistryError(f"{host} cannot be reached: {first_line(error)}.", "Check tracking_uri.") from error

    def _check(self, url: str, host: str, size: int, limit: int, deadline: float) -> None:
        if size > limit:
            raise RegistryError(f"{url} is larger than the {limit} bytes that are expected.")
        if time.monotonic() > deadline:
            raise RegistryError(f"{host} is too slow: {size} bytes had come at the deadline.")
        if self._closed.is_set():
            raise RegistryError("the server is shutting down.")

    def _authorization(self, url: str) -> dict[str, str]:
        """MLflow's own variables, read at each call: a mounted secret may change."""
        if _origin(url) != _origin(self.uri):
            return {}  # an artifact's address is what a registry's writer chose
        if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
            return {"Authorization": f"Bearer {token}"}
        pair = self._pair
        if user := os.environ.get("MLFLOW_TRACKING_USERNAME"):
            pair = f"{user}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()} if pair else {}


def without_credentials(uri: str) -> str:
    """A URI as it may be shown: without ``USER:PASSWORD@``."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    # Only where it changes something: other URIs, sqlite's above all, stay as they are written.
    return uri if host == parts.netloc else urlunsplit(parts._replace(netloc=host))


def first_line(error: Exception) -> str:
    """An error's words in one line, without a full stop."""
    return (str(getattr(error, "reason", None) or error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    # urllib would send the credentials on, to whatever address the answer names.
    def redirect_request(self, *_: object) -> None:
        return None


def _remedy(code: int) -> str:
    match code:
        case 301 | 302 | 303 | 307 | 308:
            return "Redirects are not followed: name the address that answers."
        case 401:
            return "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
        case 403:
            return "Let the MLflow server accept this host: --allowed-hosts."
        case _:
            return ""
