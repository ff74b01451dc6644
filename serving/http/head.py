"""What a request's head says of its body, and of the answer that it takes; read in one pass."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import Scope

from serving.errors import MalformedRequest
from serving.http.compression import Encoding, check_encoding


@dataclass(slots=True)
class Head:
    """The fields that matter here.

    Attributes:
        length: bytes of the body as it is sent, 0 if it is not said.
        encoding: of the body.
        json_length: bytes of the JSON before binary tensors; none if all is JSON.
        accept_encoding: of the answer, as it was written.
    """

    length: int = 0
    encoding: Encoding | None = None
    json_length: int | None = None
    accept_encoding: str = ""


def read_head(scope: Scope) -> Head:
    """The head of a request.

    Raises:
        MalformedRequest, UnsupportedEncoding: if a field is not what it should be.
    """
    head = Head()
    for name, value in scope["headers"]:
        if name == b"content-length":
            head.length = int(value.lstrip(b"0") or 0)  # the parser took it already, however many zeros lead it
        elif name == b"content-encoding":
            head.encoding = check_encoding(value.decode("latin-1"))
        elif name == b"inference-header-content-length":
            if head.json_length is not None or not value.isdigit() or len(value) > 12:
                raise MalformedRequest("inference-header-content-length must be one whole number.")
            head.json_length = int(value)
        elif name == b"accept-encoding":
            head.accept_encoding = value.decode("latin-1")
    return head
