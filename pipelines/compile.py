"""The graph as a file that Kubeflow Pipelines runs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from components.artifacts import write_bytes_atomically
from components.recipe import Recipe
from models.errors import ConfigurationError
from pipelines.surroundings import Surroundings, require_reachable


def compile_to(recipe: Recipe, image: str, output: Path, around: Surroundings | None = None) -> None:
    """Write the compiled graph of a recipe, whole or not at all.

    Args:
        recipe: whose values the parameters start from.
        image: what every step runs in.
        output: the YAML file.
        around: the stores, Secrets and sizes on the cluster.

    Raises:
        ConfigurationError: if the file cannot be written, or no pod could use a store.
    """
    require_reachable(around or Surroundings())
    from pipelines.graph import build_pipeline

    write_compiled(build_pipeline(recipe, image=image, around=around), output)


def write_compiled(pipeline: Any, output: Path) -> None:
    """Write a KFP pipeline as YAML, whole or not at all.

    Raises:
        ConfigurationError: if the file cannot be written.
    """
    from kfp import compiler

    with tempfile.TemporaryDirectory() as directory:
        compiled = Path(directory) / "pipeline.yaml"
        compiler.Compiler().compile(pipeline, str(compiled))
        try:
            write_bytes_atomically(output, compiled.read_bytes())
        except OSError as error:
            raise ConfigurationError(
                f"Cannot write {output}: {error.strerror}.", "Choose another file with -o."
            ) from error
