"""AWS Signature Version 4 for requests without a body (AWS General Reference, "Signature Version 4 signing process").

A signature is HMAC-SHA256 over the request in one canonical form, with a key that is derived from the secret, the
day, the region and the service. S3's own rules: a path is percent-encoded once, and is not normalized.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import parse_qsl, quote, urlsplit

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Credentials:
    """Who asks. The token belongs to credentials that end by themselves."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


def signed_headers(
    method: str, url: str, credentials: Credentials, *, region: str, now: datetime, service: str = "s3"
) -> dict[str, str]:
    """The headers that a request of this method and address needs.

    Args:
        url: percent-encoded as it is sent, see :func:`encoded_path`; the header ``Host`` is its ``HOST[:PORT]``.
        now: UTC; a server accepts some minutes of difference.
    """
    moment = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {"x-amz-content-sha256": EMPTY_SHA256, "x-amz-date": moment}
    if credentials.session_token:
        headers["x-amz-security-token"] = credentials.session_token
    signed = {"host": urlsplit(url).netloc, **headers}
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    hashed = hashlib.sha256(canonical_request(method, url, signed).encode()).hexdigest()
    text = f"{ALGORITHM}\n{moment}\n{scope}\n{hashed}"
    signature = _hmac(_signing_key(credentials.secret_key, moment[:8], region, service), text).hex()
    names = ";".join(sorted(signed))
    headers["Authorization"] = (
        f"{ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return headers


def canonical_request(method: str, url: str, headers: Mapping[str, str]) -> str:
    """A request as it is hashed: method, path, query, headers by name, their names, the body's hash."""
    parts = urlsplit(url)
    pairs = sorted((_encoded(key), _encoded(value)) for key, value in parse_qsl(parts.query, keep_blank_values=True))
    lines = [
        method,
        parts.path or "/",
        "&".join(f"{key}={value}" for key, value in pairs),
        *(f"{name}:{' '.join(headers[name].split())}" for name in sorted(headers)),
        "",
        ";".join(sorted(headers)),
        EMPTY_SHA256,
    ]
    return "\n".join(lines)


def encoded_path(path: str) -> str:
    """A key as a path: everything but letters, digits, ``-._~`` and ``/`` is percent-encoded as UTF-8."""
    return quote(path, safe="/-._~")


def _encoded(text: str) -> str:
    return quote(text, safe="-._~")


def _signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
