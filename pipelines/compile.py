"""The graph as a file that Kubeflow Pipelines runs."""

from __future__ import annotations

import tempfile
from pathlib import Path

from components.artifacts import write_bytes_atomically
from components.recipe import Recipe
from models.errors import ConfigurationError


def compile_to(recipe: Recipe, image: str, output: Path) -> None:
    """Write the compiled graph of a recipe, whole or not at all.

    Raises:
        ConfigurationError: if the file cannot be written.
    """
    from kfp import compiler

    from pipelines.graph import build_pipeline

    with tempfile.TemporaryDirectory() as directory:
        compiled = Path(directory) / "pipeline.yaml"
        compiler.Compiler().compile(build_pipeline(recipe, image=image), str(compiled))
        try:
            write_bytes_atomically(output, compiled.read_bytes())
        except OSError as error:
            raise ConfigurationError(
                f"Cannot write {output}: {error.strerror}.", "Choose another file with -o."
            ) from error
