"""Logs on standard error: text for a person, or one JSON object a line for a machine.

Nothing that a client sends can begin a line of its own: JSON escapes what is not ASCII, and text escapes what
is not printable; the lines of a traceback are marked.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Literal, TextIO

from serving.operations.request_ids import REQUEST_ID

LEVELS = ("debug", "info", "warning", "error")
_FIELDS = "ganvas_fields"
_LONGEST_TEXT = 16_384
access_logger = logging.getLogger("serving.access")


def configure_logging(log_format: Literal["auto", "text", "json"], level: str, stream: TextIO | None = None) -> None:
    """Let every logger of the process write to standard error, or to a stream, unless they write somewhere already.

    Args:
        log_format: ``auto`` is text on a terminal, JSON otherwise.
        level: of this server's own loggers; those of libraries say what is at least ``info``.
    """
    stream = stream or sys.stderr
    as_text = stream.isatty() if log_format == "auto" else log_format == "text"
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    set_level(level)


def set_level(level: str) -> None:
    """Let this server's loggers say what is at least of a level, one of ``LEVELS``."""
    logging.getLogger("serving").setLevel(level.upper())


def printable(text: str) -> str:
    """The text on one line: what is not printable, and no space, as an escape; at most 16,384 characters."""
    if len(text) > _LONGEST_TEXT:
        text = f"{text[:_LONGEST_TEXT]} ... ({len(text)} characters)"
    if text.isprintable():
        return text
    return "".join(part if part.isprintable() else part.encode("unicode_escape").decode() for part in text)


class JsonFormatter(logging.Formatter):
    """One JSON object: ``time`` (RFC 3339, UTC), ``level``, ``logger``, ``message``, and what else is known."""

    def format(self, record: logging.LogRecord) -> str:
        """The record on one line."""
        document: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": printable(record.getMessage()),
        }
        if REQUEST_ID.get():
            document["request_id"] = REQUEST_ID.get()
        document |= getattr(record, _FIELDS, {})
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)[-_LONGEST_TEXT:]
        return json.dumps(document)  # ASCII, so that half a surrogate pair is no error


class TextFormatter(logging.Formatter):
    """Time, level, logger, message, and what else is known as ``name=value``."""

    def format(self, record: logging.LogRecord) -> str:
        """The record on one line, a traceback below it."""
        fields = {"request_id": REQUEST_ID.get()} if REQUEST_ID.get() else {}
        fields |= getattr(record, _FIELDS, {})
        words = [_time(record), record.levelname, f"{record.name}:", printable(record.getMessage())]
        words += [f"{name}={json.dumps(value)}" for name, value in fields.items()]
        if record.exc_info:
            lines = self.formatException(record.exc_info)[-_LONGEST_TEXT:].splitlines()
            words.append("".join(f"\n  | {printable(line)}" for line in lines))
        return " ".join(words)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class AccessLog:
    """One line for each request, or only for errors: then at most so many a second of each class.

    Args:
        everything: log requests that went well, too, and leave no error out.
        errors_per_second: of 4xx, and of 5xx, apart; how many were left out is said by the next one.
    """

    def __init__(self, *, everything: bool, errors_per_second: int = 5) -> None:
        self.everything = everything
        self._most = errors_per_second
        self._second = {"client": 0, "server": 0}
        self._said = {"client": 0, "server": 0}
        self._left_out = {"client": 0, "server": 0}

    def note(
        self,
        route: str,
        status: int | str,
        seconds: float,
        *,
        failed: Literal["", "client", "server"],
        model: str = "",
        version: str = "",
        transport: str = "http",
    ) -> None:
        """Log one answer; ``failed`` says through whom."""
        fields: dict[str, Any] = {
            "transport": transport,
            "route": route,
            "status": status,
            "seconds": round(seconds, 6),
        }
        if model:
            fields |= {"model": model, "version": version}
        if failed and not self.everything:
            second = int(monotonic())
            if second != self._second[failed]:
                self._second[failed], self._said[failed] = second, 0
            if self._said[failed] >= self._most:
                self._left_out[failed] += 1
                return
            self._said[failed] += 1
            if self._left_out[failed]:
                fields["left_out"], self._left_out[failed] = self._left_out[failed], 0
        elif not self.everything:
            return
        level = logging.WARNING if failed == "server" else logging.INFO
        access_logger.log(level, "request refused" if failed else "request answered", extra={_FIELDS: fields})
