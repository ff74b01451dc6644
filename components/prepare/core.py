"""From a source to a Dataset."""

from __future__ import annotations

import shutil
from pathlib import Path

from components.artifacts import alone_in, prepare_output_directory
from components.prepare.dataset import read_manifest
from components.prepare.listing import listing_digest
from components.prepare.manifest import MANIFEST_NAME, Manifest
from components.prepare.merge import merge, settings_sha256
from components.prepare.partition import read_partition
from components.prepare.settings import DataSettings
from components.prepare.sources.folder import FolderSource
from components.prepare.sources.open import open_source
from models.errors import ConfigurationError

UNITS_NAME = ".units"
LOCK_NAME = ".preparing"


def prepare(settings: DataSettings, output: Path) -> Manifest:
    """Read every item of the source once, split, and write shards and their manifest.

    Nothing is done where the Dataset of these settings and of what the source lists now is there already.

    Args:
        settings: what to read and how.
        output: an empty or new directory; or what an interrupted preparation left there, which is gone on with.

    Returns:
        The manifest, already written.

    Raises:
        SourceError: if nothing usable was found or too much was rejected.
        ConfigurationError: if a setting does not fit the source, or the directory lies within a folder that is read.
        ArtifactError: if the directory cannot be written or holds another finished Dataset,
            or if another preparation is at work there.
    """
    source = open_source(settings)  # a URI that names nothing leaves nothing behind
    if isinstance(source, FolderSource) and source.contains(output):
        raise ConfigurationError(
            f"{output} lies within {settings.source}: its preview would be listed as a picture.",
            "Choose a directory elsewhere with --out.",
        )
    if (there := _finished(settings, output)) is not None:
        return there
    prepare_output_directory(output, MANIFEST_NAME)
    units = output / UNITS_NAME
    with alone_in(output, LOCK_NAME):
        # Another preparation may have ended since that look.
        if (there := _finished(settings, output)) is not None:
            return there
        prepare_output_directory(output, MANIFEST_NAME)
        read_partition(settings, units)
        manifest = merge(settings, [units], output)
        shutil.rmtree(units)
    return manifest


def _finished(settings: DataSettings, output: Path) -> Manifest | None:
    """The manifest of a Dataset of these settings and of what the source lists now, where that lies there."""
    if not (output / MANIFEST_NAME).is_file():
        return None
    there = read_manifest(output)
    same = there.settings_sha256 == settings_sha256(settings) and there.listing_digest == listing_digest(settings)
    return there if same else None
