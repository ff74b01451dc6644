"""What S3 states about an object's bytes, compared with the bytes that came."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

MD5 = re.compile(r"[0-9a-f]{32}")
"""An ETag that is an MD5: objects uploaded in several parts have ``MD5-of-MD5s-N`` instead."""


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


def stated(etag: str, response: Mapping[str, Any]) -> dict[str, bytes]:
    """Digests of the whole object that are stated and can be computed here, by algorithm.

    The ETag counts where it is an MD5: not for several parts, nor under encryption by KMS or a customer's key.
    CRC32C and CRC64NVME are not computed: the standard library has neither.

    Args:
        etag: without quotes.
        response: of ``head_object`` or ``get_object`` with ``ChecksumMode=ENABLED``.
    """
    found: dict[str, bytes] = {}
    foreign = str(response.get("ServerSideEncryption", "")).startswith("aws:kms") or "SSECustomerAlgorithm" in response
    if MD5.fullmatch(etag) and not foreign:
        found["md5"] = bytes.fromhex(etag)
    for algorithm in ("CRC32", "SHA1", "SHA256"):
        value = str(response.get(f"Checksum{algorithm}", ""))
        if value and "-" not in value and response.get("ChecksumType") != "COMPOSITE":
            found[algorithm.lower()] = base64.b64decode(value)
    return found


def agree(expected: Mapping[str, bytes], chunks: Iterable[bytes]) -> bool:
    """Whether every stated digest is that of these bytes."""
    hashes = {algorithm: _hash(algorithm) for algorithm in expected}
    for chunk in chunks:
        for one in hashes.values():
            one.update(chunk)
    return all(one.digest() == expected[algorithm] for algorithm, one in hashes.items())


def _hash(algorithm: str) -> _Hash:
    return _Crc32() if algorithm == "crc32" else hashlib.new(algorithm, usedforsecurity=False)
