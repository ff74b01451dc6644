"""``data.source`` taken apart: ``scheme:rest?option=value``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from models.errors import ConfigurationError


@dataclass(frozen=True)
class SourceUri:
    """A scheme, what follows it, and options; the whole for messages."""

    text: str
    scheme: str
    rest: str
    options: dict[str, str]

    def only(self, known: Iterable[str]) -> None:
        """Refuse an option that is none of them.

        Raises:
            ConfigurationError: naming the option that is not.
        """
        known = sorted(known)
        for option in self.options:
            if option not in known:
                raise ConfigurationError(
                    f"data.source {self.text!r} has an unknown option {option!r}.",
                    f"Known for {self.scheme}: {', '.join(known) or 'none'}.",
                )


def parse_uri(text: str) -> SourceUri:
    """Take a source's URI apart.

    Options follow the last ``?`` that a ``name=value`` stands behind, so that paths with a ``?`` stay whole; where
    nothing stands between the scheme and its options, the first. Values are percent-decoded: an ``&`` is ``%26``.

    Raises:
        ConfigurationError: for an option given twice.
    """
    scheme, mark, query = text.partition("?")
    if mark and ":" not in scheme:
        rest = ""
    else:
        scheme, _, whole = text.partition(":")
        rest, mark, query = whole.rpartition("?")
        if not mark or "=" not in query:
            return SourceUri(text, scheme, whole, {})
    options: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name in options:
            raise ConfigurationError(f"data.source {text!r} gives an option twice.", "Give each once.")
        options[name] = unquote(value)
    return SourceUri(text, scheme, rest, options)
