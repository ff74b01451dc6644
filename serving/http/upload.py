"""A file out of a body: the body itself, or the one file of a form."""

from __future__ import annotations

from email.message import Message

from serving.errors import MalformedRequest

_HEAD_BYTES = 1 << 13  # of one part
_PARTS_AT_MOST = 16


def uploaded_file(body: bytes | bytearray, content_type: str) -> bytes | bytearray:
    """The file that was sent.

    Args:
        body: held in memory already, within the limit of every body.
        content_type: ``multipart/form-data`` is taken apart (RFC 7578); with any other the body is the file.

    Raises:
        MalformedRequest: if a form is broken, or holds no file or several.
    """
    header = Message()
    header["content-type"] = content_type
    if header.get_content_type() != "multipart/form-data":
        if not body:
            raise MalformedRequest("the body is empty.", "Send a picture.")
        return body
    boundary = header.get_param("boundary")
    if not isinstance(boundary, str) or not 1 <= len(boundary) <= 70 or not boundary.isascii():
        raise MalformedRequest("the form's Content-Type names no boundary.")
    files = [content for head, content in _parts(bytes(body), boundary.encode()) if _is_file(head)]
    if len(files) != 1:
        raise MalformedRequest(f"a form must hold one file, this one holds {len(files)}.")
    return files[0]


def _parts(body: bytes, boundary: bytes) -> list[tuple[Message, bytes]]:
    """Heads and contents; what stands before the first boundary and after the last counts for nothing."""
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary, _PARTS_AT_MOST + 2)
    closing = next((number for number, piece in enumerate(pieces) if number and piece.startswith(b"--")), None)
    if closing is None:
        raise MalformedRequest(f"the form has no end, or more than {_PARTS_AT_MOST} parts.")
    return [_part(piece) for piece in pieces[1:closing]]


def _part(piece: bytes) -> tuple[Message, bytes]:
    line, _, rest = piece.partition(b"\r\n")
    head, blank, content = (b"\r\n" + rest).partition(b"\r\n\r\n")
    if line.strip(b" \t") or not blank or len(head) > _HEAD_BYTES:
        raise MalformedRequest("a part of the form has no head, or one that is too long.")
    message = Message()
    for field in head.decode("latin-1").split("\r\n")[1:]:
        name, colon, value = field.partition(":")
        if not colon or "\n" in field or "\r" in field:
            raise MalformedRequest("a part of the form has a broken head.")
        message[name.strip() or "-"] = value.strip()
    return message, content


def _is_file(head: Message) -> bool:
    return head.get_param("filename", header="content-disposition") is not None
