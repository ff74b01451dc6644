"""The bearer token that requests must carry, from a file that may change."""

from __future__ import annotations

import hmac
import logging
from pathlib import Path
from time import monotonic

from serving.errors import Unauthorized, UsageError

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_SCHEME = b"bearer "


def unauthorized() -> Unauthorized:
    """The error of a request without one of the tokens."""
    return Unauthorized("this server wants a bearer token.", "Send it as Authorization: Bearer TOKEN.")


class Token:
    """The tokens of a file, one a line, so that a new one can be given out before the old one goes.

    The file is looked at once a second at most, when a request comes. If it cannot be read, or is empty, the
    tokens before it stay: a volume that is being replaced opens nothing and closes nothing.

    Raises:
        UsageError: if there is no token in it at the start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looked_at = monotonic()
        self._state: tuple[int, ...] = ()
        self._tokens: tuple[bytes, ...] = ()
        try:
            self._read()
        except (OSError, ValueError) as error:
            raise UsageError(f"auth_token_file {path}: {error}.", "Name a file that holds a token.") from error

    def accepts(self, authorization: bytes | None) -> bool:
        """Whether the value of an ``authorization`` field carries one of the tokens; in constant time."""
        self._look()
        if authorization is None or authorization[: len(_SCHEME)].lower() != _SCHEME:
            return False
        given = authorization[len(_SCHEME) :].strip()
        # Every token is compared, so that the time does not say which one it was.
        return sum([hmac.compare_digest(given, token) for token in self._tokens]) > 0

    def _look(self) -> None:
        now = monotonic()
        if now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        try:
            self._read()
        except (OSError, ValueError) as error:
            logger.warning("auth_token_file cannot be read, the tokens before it stay: %s", error)

    def _read(self) -> None:
        found = self._path.stat()
        state = (found.st_mtime_ns, found.st_size, found.st_ino)
        if state == self._state:
            return
        tokens = tuple(line.strip() for line in self._path.read_bytes().splitlines() if line.strip())
        if not tokens:
            raise ValueError("it holds no token")
        self._tokens, self._state = tokens, state
