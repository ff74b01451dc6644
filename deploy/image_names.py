"""Names of container images, as Kubernetes reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from models.errors import ConfigurationError

_DOCKER_HUB = "docker.io"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REGISTRY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?")
_REPOSITORY = re.compile(r"[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class ImageName:
    """An image by its parts.

    Attributes:
        registry: host, and port if it has one; ``docker.io`` where a name has none.
        repository: path at the registry.
        tag: empty if there is none.
        digest: ``sha256:`` and 64 hex digits, or empty.
    """

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """Registry and repository."""
        return f"{self.registry}/{self.repository}"


def parse_image(text: str) -> ImageName:
    """The parts of ``[REGISTRY/]REPOSITORY[:TAG][@DIGEST]``.

    Raises:
        ConfigurationError: if it is no such name.
    """
    rest, _, digest = text.partition("@")
    first, slash, path = rest.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry = first
    else:
        registry, path = _DOCKER_HUB, rest
    repository, _, tag = path.partition(":")
    if registry == _DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    sound = _REGISTRY.fullmatch(registry) and _REPOSITORY.fullmatch(repository) and not path.endswith(":")
    if not sound or (tag and not _TAG.fullmatch(tag)) or ("@" in text and not _DIGEST.fullmatch(digest)):
        raise ConfigurationError(
            f"{text!r} is not the name of an image.", "Write REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@sha256:..."
        )
    return ImageName(registry, repository, tag, digest)
