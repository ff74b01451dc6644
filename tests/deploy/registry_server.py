"""A registry on loopback that speaks the distribution API over real HTTP: manifests, anonymous tokens, refusals."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.loopback import answering

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def digest_of(content: bytes) -> str:
    """As the specification has it."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def index(*platforms: str) -> bytes:
    """An image index of these operating systems."""
    entries = [
        {
            "mediaType": MANIFEST,
            "digest": f"sha256:{'0' * 64}",
            "size": 1,
            "platform": {"os": os, "architecture": "amd64"},
        }
        for os in platforms
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()


class Registry:
    """What the registry holds, and how it behaves.

    Attributes:
        manifests: content and media type by ``REPOSITORY:TAG``.
        needs_token: whether it asks for a token that anybody gets.
        said_digest: what it says of every digest, where that is not the truth.
        status: it answers every manifest with, where that is not 200.
        asked: headers of each request for a manifest.
        scopes: that tokens were asked for.
    """

    def __init__(self) -> None:
        self.manifests: dict[str, tuple[bytes, str]] = {}
        self.needs_token = True
        self.said_digest = ""
        self.status = 200
        self.asked: list[dict[str, str]] = []
        self.scopes: list[str] = []
        self.address = ""

    def answer(self, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of a GET."""
        parts = urlsplit(path)
        if parts.path == "/token":
            self.scopes += parse_qs(parts.query)["scope"]
            return 200, {}, json.dumps({"token": "anybody"}).encode()
        self.asked.append(headers)
        if self.needs_token and headers.get("authorization") != "Bearer anybody":
            challenge = f'Bearer realm="http://{self.address}/token",service="test",scope="repository:any:pull"'
            return 401, {"WWW-Authenticate": challenge}, b"{}"
        repository, _, tag = parts.path.removeprefix("/v2/").partition("/manifests/")
        if self.status != 200:
            return self.status, {}, b"{}"
        if f"{repository}:{tag}" not in self.manifests:
            return 404, {}, b"{}"
        content, media_type = self.manifests[f"{repository}:{tag}"]
        said = self.said_digest or digest_of(content)
        return 200, {"Content-Type": media_type, "Docker-Content-Digest": said}, content


@contextmanager
def serving(registry: Registry) -> Iterator[str]:
    """The registry's address, ``127.0.0.1:PORT``, while it runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, answered, body = registry.answer(self.path, headers)
            self.send_response(status)
            for name, value in answered.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with answering(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        registry.address = f"127.0.0.1:{server.server_port}"
        yield registry.address
