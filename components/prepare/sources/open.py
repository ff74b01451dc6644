"""A source from its URI."""

from __future__ import annotations

from pathlib import Path

from components.prepare.settings import DataSettings
from components.prepare.sources.archive import ArchiveSource
from components.prepare.sources.arrays import ArraysSource
from components.prepare.sources.digits import DigitsSource
from components.prepare.sources.fetched import fetched
from components.prepare.sources.folder import FolderSource
from components.prepare.sources.held import (
    ARCHIVE_SUFFIXES,
    ARRAY_SUFFIXES,
    PARQUET_SUFFIXES,
    Held,
    braces,
    held_files,
    scheme_of,
    source_name,
)
from components.prepare.sources.mixture import MixtureSource
from components.prepare.sources.parquet import ParquetSource
from components.prepare.sources.s3 import S3Source
from components.prepare.sources.source import Source
from components.prepare.sources.stacked import StackedSource
from components.prepare.sources.torchvision import TorchvisionSource
from components.prepare.sources.uri import SourceUri, parse_uri
from models.errors import ConfigurationError, SourceError

OPTIONS = {
    "archive": ("layout",),
    "parquet": ("image", "label"),
    "arrays": ("images", "labels", "layout"),
    "torchvision": ("root", "download", "split"),
    "stacked-mnist": ("source", "root"),
}
SCHEMES = ("digits", "mixture", "folder", "s3", "minio", *OPTIONS)
SUFFIXES = {"archive": ARCHIVE_SUFFIXES, "parquet": PARQUET_SUFFIXES, "arrays": ARRAY_SUFFIXES}
KNOWN = (
    "digits, mixture:ring8, mixture:grid25, folder:PATH, archive:PATH, parquet:PATH, arrays:PATH, torchvision:NAME, "
    "stacked-mnist, s3://BUCKET/PREFIX, or a path"
)


def open_source(settings: DataSettings) -> Source:
    """The source that ``settings.source`` names.

    Raises:
        ConfigurationError: for a URI of an unknown kind, or an option that it does not have.
        SourceError: if what it names is not there.
    """
    return _opened(settings.source, settings.rows)


def _opened(text: str, rows: int) -> Source:
    uri = _parsed(text)
    if uri.scheme not in ("s3", "minio"):
        uri.only(OPTIONS.get(uri.scheme, ()))
    match uri.scheme:
        case "digits" if not uri.rest:
            return DigitsSource()
        case "mixture":
            return MixtureSource(uri.rest, rows)
        case "folder" if uri.rest:
            return FolderSource(Path(uri.rest))
        case "archive" | "parquet" | "arrays" if uri.rest:
            files = held_files(uri.rest, SUFFIXES[uri.scheme])
            return _of_files(uri.scheme, files, source_name(files, uri.rest), uri)
        case "torchvision":
            return TorchvisionSource(uri.rest, **uri.options)
        case "stacked-mnist" if not uri.rest:
            return StackedSource(_opened(_stacked(uri), rows), rows)
        case "s3" | "minio" if uri.rest.strip("/"):
            return _of_bucket(uri)
        case _:
            raise ConfigurationError(f"Unknown data.source {text!r}.", f"Use {KNOWN}.")


def _parsed(text: str) -> SourceUri:
    """The URI; a bare path becomes one by what lies there."""
    scheme = parse_uri(text).scheme
    if scheme not in SCHEMES and (text.startswith(("/", ".", "~")) or Path(scheme).exists()):
        uri = parse_uri(f"path:{text}")
        if Path(uri.rest).expanduser().is_dir():
            return SourceUri(text, "folder", uri.rest, uri.options)
        kind = scheme_of(uri.rest)
        if kind is None:
            raise SourceError(
                f"{uri.rest} is neither a directory nor a file of a known kind.",
                f"Known suffixes: {', '.join(suffix for known in SUFFIXES.values() for suffix in known)}.",
            )
        return SourceUri(text, kind, uri.rest, uri.options)
    return parse_uri(text)


def _of_files(scheme: str, files: list[Held], name: str, uri: SourceUri) -> Source:
    if scheme == "archive":
        return ArchiveSource(files, name, **uri.options)
    if scheme == "parquet":
        return ParquetSource(files, name, **uri.options)
    if len(files) > 1:
        raise ConfigurationError(f"data.source {uri.text!r} names {len(files)} arrays.", "Name one.")
    return ArraysSource(files[0], **uri.options)


def _of_bucket(uri: SourceUri) -> Source:
    bucket, _, prefix = uri.rest.lstrip("/").partition("/")
    scheme = None if prefix.endswith("/") else scheme_of(prefix)
    if scheme is None:
        uri.only(())
        return S3Source(bucket, prefix.strip("/"))
    uri.only(OPTIONS[scheme])
    files = [fetched(bucket, key) for key in braces(prefix)]
    return _of_files(scheme, files, prefix.rpartition("/")[2], uri)


def _stacked(uri: SourceUri) -> str:
    if "root" in uri.options and "source" in uri.options:
        raise ConfigurationError(f"data.source {uri.text!r} gives source and root.", "Give one of them.")
    if "root" in uri.options:
        return f"torchvision:MNIST?root={uri.options['root'].replace('%', '%25').replace('&', '%26')}"
    source = uri.options.get("source", "digits")
    if source.startswith("stacked-mnist"):
        raise ConfigurationError(f"data.source {uri.text!r} stacks what is stacked.", "Give another source.")
    return source
