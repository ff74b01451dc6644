"""Reading a Bundle back."""

from __future__ import annotations

from pathlib import Path

from components.artifacts import read_document, sha256_of_file
from components.export.signature import SIGNATURE_NAME, Signature
from models.errors import ArtifactError

RECIPE_NAME = "recipe.json"


def read_bundle(directory: Path) -> Signature:
    """The signature of a finished Bundle whose graphs are the ones it was written for.

    Raises:
        ArtifactError: if the bundle is incomplete, or a file is missing or altered.
    """
    signature = read_document(directory, SIGNATURE_NAME, Signature)
    for graph in signature.graphs.values():
        path = directory / graph.file
        if not path.is_file() or sha256_of_file(path) != graph.sha256:
            raise ArtifactError(f"{path} is missing or altered.", "Export the checkpoint again.")
    return signature
