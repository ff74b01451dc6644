"""Reading from a server: bounded in bytes and in time, and without following it to another one.

Every function blocks and belongs to a thread beside the event loop.
"""

from __future__ import annotations

import http.client
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from serving.errors import RegistryError

_STALL_SECONDS = 10.0
_CHUNK_BYTES = 1 << 20
_EXPLANATION_BYTES = 4096


class Absent(Exception):
    """The server says that there is no such thing."""


class Origin:
    """What servers hand out. Who asks, and what a refusal means, is for each kind of server to say.

    Args:
        proxied: go by the proxies that the environment names.

    Attributes:
        what_to_check: the remedy where a server cannot be reached.
    """

    what_to_check = ""

    def __init__(self, *, proxied: bool = True) -> None:
        past_proxies = [] if proxied else [urllib.request.ProxyHandler({})]
        self._opener = urllib.request.build_opener(_NoRedirects, *past_proxies)
        self._closed = threading.Event()

    def read(self, url: str, *, limit: int, seconds: float, body: bytes | None = None) -> bytes:
        """What lies at a URL, at most ``limit`` bytes; or what is answered to a form, if there is one to send.

        Raises:
            Absent: if nothing does.
            RegistryError: if it is larger, cannot be had, or not in that time.
        """
        return b"".join(self._parts(url, limit, time.monotonic() + seconds, body))

    def copy(self, url: str, target: Path, *, limit: int, deadline: float) -> None:
        """Write what lies at a URL into a file, at most ``limit`` bytes, until a time of ``time.monotonic``.

        Raises:
            Absent, RegistryError: see :meth:`read`.
        """
        with target.open("wb") as file:
            file.writelines(self._parts(url, limit, deadline))

    def head(self, url: str) -> http.client.HTTPMessage:
        """The headers of what lies at a URL; their names know no case.

        Raises:
            Absent, RegistryError: see :meth:`read`.
        """
        with self._open("HEAD", url) as answer:
            return answer.headers

    def close(self) -> None:
        """End what is under way, at its next bytes."""
        self._closed.set()

    def _authorization(self, method: str, url: str) -> Mapping[str, str]:
        """The headers that say who asks; nobody, unless a kind of server has its own way."""
        return {}

    def _refusal(self, host: str, error: urllib.error.HTTPError, content: bytes) -> Exception:
        """What a status of 300 and more means; ``content`` is how its body begins."""
        if error.code == 404:
            return Absent()
        return RegistryError(f"{host} answered {error.code} {error.reason}.", redirect_remedy(error.code))

    @contextmanager
    def _open(self, method: str, url: str, body: bytes | None = None) -> Iterator[http.client.HTTPResponse]:
        url = without_credentials(url)
        host = urlsplit(url).netloc
        try:
            headers = dict(self._authorization(method, url))
            request = urllib.request.Request(url, data=body, headers=headers, method=method)
            with self._opener.open(request, timeout=_STALL_SECONDS) as answer:
                yield answer
        except urllib.error.HTTPError as error:
            raise self._refusal(host, error, _beginning(error)) from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise RegistryError(f"{host} cannot be reached: {first_line(error)}.", self.what_to_check) from error

    def _parts(self, url: str, limit: int, deadline: float, body: bytes | None = None) -> Iterator[bytes]:
        url = without_credentials(url)
        host = urlsplit(url).netloc
        with self._open("GET" if body is None else "POST", url, body) as answer:
            size, promised = 0, answer.headers.get("content-length")
            while part := answer.read1(_CHUNK_BYTES):
                size += len(part)
                self._check(url, host, size, limit, deadline)
                yield part
            if promised is not None and size < int(promised):
                raise RegistryError(f"{host} broke off after {size} of {promised} bytes.")

    def _check(self, url: str, host: str, size: int, limit: int, deadline: float) -> None:
        if size > limit:
            raise RegistryError(f"{url} is larger than the {limit} bytes that are expected.")
        if time.monotonic() > deadline:
            raise RegistryError(f"{host} is too slow: {size} bytes had come at the deadline.")
        if self._closed.is_set():
            raise RegistryError("the server is shutting down.")


def redirect_remedy(code: int) -> str:
    """What to do about a redirect; empty for another status."""
    return "Redirects are not followed: name the address that answers." if 300 < code < 400 else ""


def without_credentials(uri: str) -> str:
    """A URI as it may be shown: without ``USER:PASSWORD@``."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    # Only where it changes something: other URIs, sqlite's above all, stay as they are written.
    return uri if host == parts.netloc else urlunsplit(parts._replace(netloc=host))


def first_line(error: Exception) -> str:
    """An error's words in one line, without a full stop."""
    return (str(getattr(error, "reason", None) or error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _beginning(error: urllib.error.HTTPError) -> bytes:
    with error:
        try:
            return error.read(_EXPLANATION_BYTES)
        except (OSError, http.client.HTTPException):
            return b""  # the status alone must do


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    # urllib would send the credentials on, to whatever address the answer names.
    def redirect_request(self, *_: object) -> None:
        return None
