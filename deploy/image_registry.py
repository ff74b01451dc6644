"""Digests of images, asked of their registries (OCI distribution specification, 1.1)."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.parse import urlencode, urlsplit

from deploy.image_names import ImageName
from models.errors import GanvasError

TIMEOUT_SECONDS = 30.0
_MAX_BYTES = 4 << 20  # the specification's least limit of a manifest
_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
_HOSTS = {"docker.io": "registry-1.docker.io"}
_PARAMETER = re.compile(r'([a-z_]+)="([^"]*)"')


@dataclass(frozen=True)
class Found:
    """What a tag means now.

    Attributes:
        digest: of the index that names every platform's image, or of the one image.
        platforms: number of platforms that the index names; 1 if there is no index.
    """

    digest: str
    platforms: int


def look_up(image: ImageName, timeout_seconds: float = TIMEOUT_SECONDS) -> Found:
    """Ask an image's registry for what its tag names.

    Raises:
        GanvasError: if the registry cannot be reached, has no such image, or wants credentials.
    """
    url = f"{_base(image.registry)}/v2/{image.repository}/manifests/{image.tag}"
    try:
        try:
            content, headers = _get(url, "", timeout_seconds)
        except urllib.error.HTTPError as error:
            if error.code != 401:
                raise
            error.close()
            # What the registry itself says: where anonymous tokens are had, and for what.
            token = _token(error.headers.get("WWW-Authenticate", ""), image, timeout_seconds)
            content, headers = _get(url, token, timeout_seconds)
        return _found(image, content, headers)
    except urllib.error.HTTPError as error:
        error.close()
        raise GanvasError(*_refusal(image, error.code)) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error or type(error).__name__
        raise GanvasError(
            f"{image.registry} cannot be reached for {image.repository}:{image.tag}: {reason}.",
            "Run this where the registry can be reached; nothing was written.",
        ) from error


def _base(registry: str) -> str:
    host = urlsplit(f"//{registry}").hostname or ""
    # As container engines do: plain HTTP on this machine alone.
    scheme = "http" if host == "localhost" or host.startswith("127.") else "https"
    return f"{scheme}://{_HOSTS.get(registry, registry)}"


def _get(url: str, token: str, timeout_seconds: float) -> tuple[bytes, Message]:
    headers = {"Accept": ", ".join((*_INDEXES, *_MANIFESTS, "application/json")), "User-Agent": "ganvas-pin-images"}
    request = urllib.request.Request(url, headers=headers)
    if token:
        # Not sent on where the registry redirects to another host.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=timeout_seconds) as response:
        return response.read(_MAX_BYTES + 1), response.headers


def _token(challenge: str, image: ImageName, timeout_seconds: float) -> str:
    scheme, _, rest = challenge.partition(" ")
    parameters = dict(_PARAMETER.findall(rest))
    realm = parameters.get("realm", "")
    if scheme.lower() != "bearer" or urlsplit(realm).scheme not in {"http", "https"}:
        raise GanvasError(*_refusal(image, 401))
    query = {"scope": parameters.get("scope", f"repository:{image.repository}:pull")}
    if service := parameters.get("service"):
        query["service"] = service
    content, _ = _get(f"{realm}?{urlencode(query)}", "", timeout_seconds)
    answer = _json(image, content)
    token = answer.get("token") or answer.get("access_token")
    if not isinstance(token, str):
        raise GanvasError(*_refusal(image, 401))
    return token


def _found(image: ImageName, content: bytes, headers: Message) -> Found:
    if len(content) > _MAX_BYTES:
        raise GanvasError(f"{image.registry} answers with more than {_MAX_BYTES} bytes for {image.repository}.")
    manifest = _json(image, content)
    media_type = manifest.get("mediaType") or headers.get_content_type()
    if media_type not in (*_INDEXES, *_MANIFESTS):
        raise GanvasError(f"{image.registry} answers for {image.repository} with {media_type}, which is no manifest.")
    # A digest is what the content hashes to; what the registry says of it is only compared.
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    said = headers.get("Docker-Content-Digest", digest)
    if said.startswith("sha256:") and said != digest:
        raise GanvasError(f"{image.registry} names {said} for {image.repository}:{image.tag}, and sends {digest}.")
    if media_type in _MANIFESTS:
        return Found(digest, platforms=1)
    real = [entry for entry in manifest.get("manifests", []) if entry.get("platform", {}).get("os") != "unknown"]
    return Found(digest, len(real))


def _json(image: ImageName, content: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(content)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise GanvasError(f"{image.registry} answers for {image.repository} with what is not a JSON object.")
    return answer


def _refusal(image: ImageName, status: int) -> tuple[str, str]:
    what = f"{image.repository}:{image.tag}"
    match status:
        case 404:
            return f"{image.registry} has no {what}.", "Check the name and the tag."
        case 401 | 403:
            return f"{image.registry} gives {what} to nobody without credentials.", "Name the image by its digest."
        case 429:
            return f"{image.registry} has had too many requests from here (429).", "Try again later."
        case _:
            return f"{image.registry} answered {status} for {what}.", "Try again later."
