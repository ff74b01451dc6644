"""Reading an Extractor back."""

from __future__ import annotations

from pathlib import Path

from components.artifacts import read_document, sha256_of_file
from components.extractor.document import EXTRACTOR_GRAPH_NAME, EXTRACTOR_NAME, Extractor
from models.errors import ArtifactError


def read_extractor(directory: Path) -> Extractor:
    """The document of a finished Extractor whose graph is the one it was written for, or an ArtifactError."""
    extractor = read_document(directory, EXTRACTOR_NAME, Extractor)
    path = directory / EXTRACTOR_GRAPH_NAME
    if not path.is_file() or sha256_of_file(path) != extractor.sha256:
        raise ArtifactError(f"{path} is missing or altered.", "Fit the extractor again.")
    return extractor
