"""What is served, in words: the grammar of ``GANVAS_SERVE_MODELS``, parsed here and nowhere else.

::

    NAME                        a registered model, by the alias that is configured
    NAME@ALIAS                  by this alias                       also  models:/NAME@ALIAS
    NAME/VERSION                in this version, for good           also  models:/NAME/VERSION
    NAME=DIR                    the bundle in a directory, followed as it changes
    NAME=s3://BUCKET[/PREFIX]   the bundle under a prefix, followed as it changes

An alias begins after the last ``@``, a directory after the first ``=``. A registered name that holds one of
them is written out as MLflow writes it: ``models:/a=b@champion``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MLFLOW_PREFIX = "models:/"
S3_PREFIX = "s3://"
_VERSION = re.compile(r"[1-9][0-9]{0,17}")
_ALIAS = re.compile(r"[A-Za-z0-9_.-]+")
# What names a bucket becomes a part of a host's name: nothing else may pass.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


@dataclass(frozen=True)
class AliasOf:
    """A registered model by an alias; an empty one is the alias that is configured."""

    name: str
    alias: str = ""


@dataclass(frozen=True)
class VersionOf:
    """A registered model in one version."""

    name: str
    version: str


@dataclass(frozen=True)
class Directory:
    """A bundle directory."""

    name: str
    path: Path


@dataclass(frozen=True)
class Prefix:
    """A bundle in S3: ``PREFIX/signature.json`` and the files that it names."""

    name: str
    bucket: str
    prefix: str


ModelSource = AliasOf | VersionOf | Directory | Prefix


def parse_source(text: str) -> ModelSource:
    """One model and where it comes from.

    Raises:
        ValueError: if it follows no rule of the grammar, saying which one it nearly follows.
    """
    if text.startswith(MLFLOW_PREFIX):
        return _registered(text, text.removeprefix(MLFLOW_PREFIX), written_out=True)
    name, equals, place = text.partition("=")
    if equals:
        return _bundle(text, check_name(name), place)
    if text.startswith(S3_PREFIX):
        raise ValueError(f"{_shown(text)} has no name; write NAME={S3_PREFIX}BUCKET/PREFIX")
    return _registered(text, text, written_out=False)


def parse_sources(texts: Iterable[str]) -> tuple[ModelSource, ...]:
    """Several models, each under a name of its own.

    Raises:
        ValueError: see :func:`parse_source`; or if two have one name.
    """
    sources = tuple(parse_source(text) for text in texts)
    names = [source.name for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the model {name!r} is named twice; a name has one source")
    return sources


def parse_s3(text: str) -> tuple[str, str]:
    """The bucket and the prefix, without slashes around it, of ``s3://BUCKET[/PREFIX]``.

    Raises:
        ValueError: if it is no such address.
    """
    bucket, _, prefix = text.removeprefix(S3_PREFIX).partition("/")
    if not text.startswith(S3_PREFIX) or not _BUCKET.fullmatch(bucket) or ".." in bucket:
        raise ValueError(f"{_shown(text)} names no bucket; write {S3_PREFIX}BUCKET/PREFIX")
    return bucket, prefix.strip("/")


def check_name(name: str) -> str:
    """A model's name, which is a part of addresses and of file names.

    Raises:
        ValueError: if it cannot be one.
    """
    if not name or name != name.strip() or not name.isprintable():
        raise ValueError(f"a model's name is not empty and has no spaces around it, got {name!r}")
    if "/" in name or ":" in name:
        raise ValueError(f"a model's name holds no '/' and no ':', got {_shown(name)}")
    return name


def _registered(text: str, rest: str, *, written_out: bool) -> AliasOf | VersionOf:
    if "/" in rest:
        name, _, version = rest.partition("/")
        if not _VERSION.fullmatch(version):
            raise ValueError(
                f"{_shown(text)}: after a model's name and '/' comes a version, a whole number, not {version!r}; "
                "an alias is written NAME@ALIAS, a directory NAME=DIR"
            )
        return VersionOf(check_name(name), version)
    if ":" in rest:
        raise ValueError(f"{_shown(text)}: a version is written NAME/VERSION; a model's name holds no ':'")
    if "@" in rest:
        name, _, alias = rest.rpartition("@")
        if not _ALIAS.fullmatch(alias):
            raise ValueError(f"{_shown(text)}: {alias!r} is no alias; letters, digits, '_', '.' and '-' are")
        return AliasOf(check_name(name), alias)
    if written_out:
        raise ValueError(f"{_shown(text)}: MLflow writes {MLFLOW_PREFIX}NAME/VERSION or {MLFLOW_PREFIX}NAME@ALIAS")
    return AliasOf(check_name(rest))


def _bundle(text: str, name: str, place: str) -> Directory | Prefix:
    if place.startswith(S3_PREFIX):
        return Prefix(name, *parse_s3(place))
    if _SCHEME.match(place):
        raise ValueError(f"{_shown(text)}: a bundle lies in a directory or at {S3_PREFIX}, nowhere else")
    if not place.strip():
        raise ValueError(f"{_shown(text)}: a directory comes after '='")
    return Directory(name, Path(place).expanduser())


def _shown(text: str) -> str:
    """As it is quoted in an error: somebody may have written a password before an '@'."""
    return repr(re.sub(r"//[^/]*@", "//***@", text)[:200])
