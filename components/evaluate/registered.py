"""A version in the registry, to be judged again: as MLflow writes it, by its number or by an alias."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from components.tracking import Tracking, is_absent, tracking_uri
from models.errors import ArtifactError, ConfigurationError

PREFIX = "models:/"
VERSION = re.compile(r"[1-9][0-9]*")


@dataclass(frozen=True)
class Reference:
    """What ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS`` names; one of version and alias is empty."""

    name: str
    version: str = ""
    alias: str = ""


@dataclass(frozen=True)
class RegisteredBundle:
    """A version's bundle on this disk."""

    name: str
    version: str
    directory: Path

    @property
    def uri(self) -> str:
        """The version for good, whatever alias it was found by."""
        return f"{PREFIX}{self.name}/{self.version}"


def parse_reference(text: str) -> Reference:
    """What a text that begins with ``models:/`` names.

    A version comes after the first ``/``, else an alias after the last ``@``, so that a name may hold one.

    Raises:
        ConfigurationError: if it names neither.
    """
    rest = text.removeprefix(PREFIX)
    name, slash, version = rest.partition("/")
    if slash and name and VERSION.fullmatch(version):
        return Reference(name, version=version)
    name, at, alias = rest.rpartition("@")
    if not slash and at and name and alias:
        return Reference(name, alias=alias)
    raise ConfigurationError(
        f"{text} names no version.", f"Write {PREFIX}NAME/VERSION, VERSION a whole number, or {PREFIX}NAME@ALIAS."
    )


def fetch_registered(text: str, into: Path) -> RegisteredBundle:
    """The bundle of the version that ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS`` names by now.

    Raises:
        ConfigurationError: if the text names neither.
        ArtifactError: if there is no such version or alias, or the version has no bundle.
        TrackingError: if the registry does not answer.
    """
    reference = parse_reference(text)
    uri = tracking_uri()
    if is_absent(uri):
        raise ArtifactError(
            f"There is no {text}: nobody has made the MLflow store {uri} yet.",
            "Set MLFLOW_TRACKING_URI to the store that holds it.",
        )
    store = Tracking(uri)
    version = store.find_version(reference.name, version=reference.version, alias=reference.alias)
    return RegisteredBundle(reference.name, version, store.download(reference.name, version, into))
