"""The tree of errors of this room.

::

    ServingError                one clear line: what, where, what next
    ├── UsageError              flags or settings are wrong                     exit code 2
    ├── BundleError             a bundle is missing, half-written or altered    exit code 1
    ├── RegistryError           a model's source cannot be reached or refuses   exit code 1
    └── RequestError            a request cannot be answered
        ├── MalformedRequest    the request breaks the protocol                 400
        ├── Unauthorized        the bearer token is missing or wrong            401
        ├── UnknownModel        no such model, or not in that version           404
        ├── BodyTooSlow         the body did not arrive in time                 408, closes
        ├── BodyTooLarge        the body exceeds the limit                      413
        ├── PictureTooLarge     the picture in the body exceeds a limit         413
        ├── UnsupportedEncoding the body is compressed in a way not read here   415
        ├── UnsupportedPicture  the body is no picture of a known format        415
        ├── ModelNotReady       a known model has no version to answer with     503, Retry-After
        ├── Overloaded          there is no room; come back later               503, Retry-After
        └── DeadlineExceeded    the request took longer than it may             504

The codes of HTTP are attached in one place, ``serving.http.failures.STATUS_OF``; those of gRPC in another,
``serving.grpc.status.CODE_OF``.
"""

from __future__ import annotations


class ServingError(Exception):
    """Base of every error that is shown to a person as one line.

    Args:
        message: What was wrong and where.
        remedy: What to do next, as an instruction.
    """

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        self.message = message
        self.remedy = remedy
        super().__init__(f"{message} {remedy}".strip())


class UsageError(ServingError):
    """Flags or settings are wrong."""

    exit_code = 2


class BundleError(ServingError):
    """A bundle is missing, half-written or altered, or does not do what its signature says."""


class RegistryError(ServingError):
    """A registry, or another place that bundles lie in, cannot be reached or refuses."""


class RequestError(ServingError):
    """A request cannot be answered.

    Attributes:
        reason: one word for the metric of refused requests.
    """

    reason = "failed"


class MalformedRequest(RequestError):
    """The request breaks the protocol or the model's signature."""

    reason = "malformed"


class Unauthorized(RequestError):
    """The request carries no bearer token, or a wrong one."""

    reason = "unauthorized"


class UnknownModel(RequestError):
    """There is no such model, or it is not served in that version."""

    reason = "unknown_model"


class BodyTooSlow(RequestError):
    """The request's body did not arrive in time."""

    reason = "body_too_slow"


class BodyTooLarge(RequestError):
    """The request's body exceeds the limit."""

    reason = "body_too_large"


class PictureTooLarge(RequestError):
    """The picture in the request's body has more pixels, or takes more work, than the limit allows."""

    reason = "picture_too_large"


class UnsupportedPicture(RequestError):
    """The request's body is no picture, or of a format that is not read here."""

    reason = "unsupported_picture"


class UnsupportedEncoding(RequestError):
    """The request's body is compressed in a way that is not read here."""

    reason = "unsupported_encoding"


class ModelNotReady(RequestError):
    """The model is known and has no version to answer with: not yet, or not any more."""

    reason = "model_not_ready"


class Overloaded(RequestError):
    """There is no room for the request: in the queue, in hand, in memory, or for its connection."""

    reason = "overloaded"


class DeadlineExceeded(RequestError):
    """The request was not answered in the time that it may take."""

    reason = "deadline"
