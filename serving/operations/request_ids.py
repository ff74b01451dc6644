"""A name for every request: the client's if it is sane, else one made here."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar
from itertools import count

REQUEST_ID_HEADER = "x-request-id"
REQUEST_ID: ContextVar[str] = ContextVar("ganvas_request_id", default="")
"""Of the request that the current task works for."""

_SANE = re.compile(rb"[\x21-\x7e]{1,128}")
_PREFIX = secrets.token_hex(6)  # of this process
_NUMBERS = count(1)


def name_request(given: bytes | None) -> str:
    """The id of a request: 1 to 128 visible ASCII characters, as given or made."""
    sane = given is not None and _SANE.fullmatch(given)
    return sane[0].decode("ascii") if sane else f"{_PREFIX}-{next(_NUMBERS):x}"


def take_request_id(given: bytes | None) -> str:
    """The id of the request that the current task works for from now on."""
    name = name_request(given)
    REQUEST_ID.set(name)
    return name
