"""A source from its URI."""

from __future__ import annotations

from pathlib import Path

from components.prepare.settings import DataSettings
from components.prepare.sources.digits import DigitsSource
from components.prepare.sources.folder import FolderSource
from components.prepare.sources.mixture import MixtureSource
from components.prepare.sources.source import Source
from models.errors import ConfigurationError


def open_source(settings: DataSettings) -> Source:
    """The source that ``settings.source`` names.

    Raises:
        ConfigurationError: for a URI of an unknown kind.
        SourceError: if what it names is not there.
    """
    scheme, _, rest = settings.source.partition(":")
    match scheme:
        case "digits" if not rest:
            return DigitsSource(settings)
        case "mixture":
            return MixtureSource(rest, settings)
        case "folder" if rest:
            return FolderSource(Path(rest), settings)
        case _:
            raise ConfigurationError(
                f"Unknown data.source {settings.source!r}.",
                "Use digits, mixture:ring8, mixture:grid25 or folder:/path/to/pictures.",
            )
