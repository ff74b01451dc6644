"""``data.source`` taken apart: ``scheme:rest?option=value``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from models.errors import ConfigurationError


@dataclass(frozen=True)
class SourceUri:
    """A scheme, what follows it, and options; the whole for messages."""

    text: str
    scheme: str
    rest: str
    options: dict[str, str]

    def only(self, known: Iterable[str]) -> SourceUri:
        """Itself, if every option is known.

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
        return self


def parse_uri(text: str) -> SourceUri:
    """Take a source's URI apart.

    Options follow the last ``?`` that a ``name=value`` stands behind, so that paths with a ``?`` stay whole.

    Raises:
        ConfigurationError: for an option given twice.
    """
    scheme, _, rest = text.partition(":")
    path, mark, query = rest.rpartition("?")
    if not mark or "=" not in query:
        return SourceUri(text, scheme, rest, {})
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) < len(pairs):
        raise ConfigurationError(f"data.source {text!r} gives an option twice.", "Give each once.")
    return SourceUri(text, scheme, path, options)
