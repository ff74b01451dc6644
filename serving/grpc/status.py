"""Errors as status codes of gRPC, as ``serving.http.failures`` has those of HTTP."""

from __future__ import annotations

import grpc

from serving.errors import (
    BodyTooLarge,
    BodyTooSlow,
    DeadlineExceeded,
    MalformedRequest,
    ModelNotReady,
    Overloaded,
    PictureTooLarge,
    RequestError,
    Unauthorized,
    UnknownModel,
    UnsupportedEncoding,
    UnsupportedPicture,
)

CODE_OF: dict[type[RequestError], grpc.StatusCode] = {
    MalformedRequest: grpc.StatusCode.INVALID_ARGUMENT,
    Unauthorized: grpc.StatusCode.UNAUTHENTICATED,
    UnknownModel: grpc.StatusCode.NOT_FOUND,
    BodyTooSlow: grpc.StatusCode.DEADLINE_EXCEEDED,
    BodyTooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,
    PictureTooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,
    UnsupportedEncoding: grpc.StatusCode.UNIMPLEMENTED,
    UnsupportedPicture: grpc.StatusCode.UNIMPLEMENTED,
    ModelNotReady: grpc.StatusCode.UNAVAILABLE,
    Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
}


def code_of(error: RequestError) -> grpc.StatusCode:
    """The status of an error, or of the next class above it that has one."""
    for kind in type(error).__mro__:
        if kind in CODE_OF:
            return CODE_OF[kind]
    return grpc.StatusCode.INTERNAL
