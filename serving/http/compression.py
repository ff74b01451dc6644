"""gzip and deflate, both ways: bounded in what comes out, and never more than one asked for."""

from __future__ import annotations

import zlib
from typing import Any, Literal

from isal import isal_zlib

from serving.errors import BodyTooLarge, MalformedRequest, UnsupportedEncoding

Encoding = Literal["gzip", "deflate"]
_WINDOW_BITS: dict[str, int] = {"gzip": 31, "deflate": 15}
_RAW_WINDOW_BITS = -15
_LEVEL = 1
_ERRORS: Any = (isal_zlib.error, zlib.error)
_STEP_BYTES = 1 << 16


def check_encoding(name: str) -> Encoding | None:
    """The encoding of a body by its header's value, none for one that is as it is.

    Raises:
        UnsupportedEncoding: if this server does not read it.
    """
    match name.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip":
            return "gzip"
        case "deflate":
            return "deflate"
    raise UnsupportedEncoding(f"content-encoding {name[:40]!r} is not read here.", "Send gzip, deflate or plain.")


def decompress(body: bytes | bytearray, encoding: Encoding, limit: int) -> bytearray:
    """What a compressed body holds, at most ``limit`` bytes; no more than that is ever made.

    Raises:
        BodyTooLarge: if there would be more.
        MalformedRequest: if the bytes are not what the encoding says, or end early, or go on after the end.
    """
    bits = _WINDOW_BITS[encoding]
    # "deflate" is zlib's format by RFC 9110, and bare deflate by habit; the first two bytes tell.
    if encoding == "deflate" and not (len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0):
        bits = _RAW_WINDOW_BITS
    stream = isal_zlib.decompressobj(wbits=bits)
    found, rest, given = bytearray(), b"", 0
    try:
        while not stream.eof:
            if not rest:  # a piece at a time: each step copies what it leaves of its input
                rest = bytes(body[given : given + _STEP_BYTES])
                given += len(rest)
            part = stream.decompress(rest, min(_STEP_BYTES, limit + 1 - len(found)))
            found += part
            if len(found) > limit:
                raise BodyTooLarge(f"the body may have at most {limit} bytes, decompressed.", "Send fewer rows.")
            if not part and not rest and not stream.eof:
                raise MalformedRequest(f"the body's {encoding} ends early.")
            rest = stream.unconsumed_tail
    except _ERRORS as error:
        raise MalformedRequest(f"the body is not {encoding}: {error}.") from error
    if stream.unused_data or given < len(body):
        raise MalformedRequest(f"bytes follow the end of the body's {encoding}.")
    return found


def compress(body: bytes, encoding: Encoding) -> bytes:
    """The body in that encoding, by the fastest level."""
    stream = isal_zlib.compressobj(_LEVEL, wbits=_WINDOW_BITS[encoding])
    return bytes(stream.compress(body) + stream.flush())


def accepted(header: str) -> Encoding | None:
    """The encoding that an answer may have by the request's Accept-Encoding; gzip before deflate."""
    weights: dict[str, bool] = {}
    for part in header.lower().split(","):
        name, _, parameters = part.partition(";")
        weight = parameters.strip().removeprefix("q=")
        try:
            weights[name.strip()] = not weight or float(weight) > 0
        except ValueError:
            weights[name.strip()] = False
    if weights.get("gzip", weights.get("*", False)):
        return "gzip"
    return "deflate" if weights.get("deflate", False) else None
