"""Inference by the Open Inference Protocol, between a request's bytes and an answer's: what each way to it shares."""

from __future__ import annotations

from collections.abc import Callable

from serving.catalog import Served
from serving.http.asgi import JSON, OCTETS
from serving.http.compression import accepted, compress
from serving.http.head import Head
from serving.predict.batcher import Results
from serving.protocol.codec import Body, Encoded, InferenceRequest, decode_raw, decode_request, encode_response

SMALL_BODY_BYTES = 1 << 16
"""Up to here a body is decoded in the event loop: a thread would cost more than it frees."""
_COMPRESSED_BYTES = 1 << 10  # below it, compression costs more than it frees

Answer = tuple[Encoded, str | None]
"""The body, and how it is compressed."""


def decode(body: Body, head: Head, served: Served) -> InferenceRequest:
    """What a body asks for.

    Raises:
        MalformedRequest: if it breaks the protocol.
    """
    if head.json_length == 0:
        signature = served.predictor.signature
        return decode_raw(body, signature.graphs[signature.sampler].inputs)
    return decode_request(body, head.json_length)


def encoder(served: Served, head: Head, query: InferenceRequest) -> Callable[[Results], Answer]:
    """What makes an answer of outputs, as the request wants it."""

    def encode(results: Results) -> Answer:
        return _compressed(encode_response(served.name, served.version, query, results), head)

    return encode


def headers_of(answer: Answer) -> list[tuple[bytes, bytes]]:
    """What an answer's head says of its body, but for the length."""
    encoded, encoding = answer
    headers = [JSON if encoded.header_length is None else OCTETS]
    if encoded.header_length is not None:
        headers.append((b"inference-header-content-length", b"%d" % encoded.header_length))
    if encoding is not None:
        headers += [(b"content-encoding", encoding.encode()), (b"vary", b"accept-encoding")]
    return headers


def _compressed(encoded: Encoded, head: Head) -> Answer:
    encoding = accepted(head.accept_encoding) if head.accept_encoding else None
    if encoding is None or len(encoded.body) < _COMPRESSED_BYTES:
        return encoded, None
    # Binary floats hardly shrink: for those it is done where one encoding is asked for, not where a client lists
    # all that it reads, as every HTTP library does.
    if encoded.header_length is not None and "," in head.accept_encoding:
        return encoded, None
    return Encoded(compress(encoded.body, encoding), encoded.header_length), encoding
