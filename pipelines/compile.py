"""The graph as a file that Kubeflow Pipelines runs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from components.artifacts import write_bytes_atomically
from components.recipe import Recipe
from models.errors import ConfigurationError


def compile_to(recipe: Recipe, image: str, output: Path, *, tracking_uri: str = "", checkpoint_uri: str = "") -> None:
    """Write the compiled graph of a recipe, whole or not at all.

    Args:
        recipe: whose values the parameters start from.
        image: what every step runs in.
        output: the YAML file.
        tracking_uri: the MLflow store as the steps reach it; empty where their environment names it already.
        checkpoint_uri: ``s3://`` prefix that training's checkpoints are copied to; empty for none.

    Raises:
        ConfigurationError: if the file cannot be written, or the store or the prefix is a file.
    """
    if checkpoint_uri and not checkpoint_uri.startswith(("s3://", "minio://")):
        raise ConfigurationError(
            f"--checkpoint-uri {checkpoint_uri} is lost with the pod that wrote it.",
            "Name a bucket's prefix, such as s3://training/checkpoints.",
        )
    if tracking_uri.startswith(("sqlite:", "file:")) or (tracking_uri and "://" not in tracking_uri):
        raise ConfigurationError(
            f"--tracking-uri {tracking_uri} is a file: each step's pod would have one of its own.",
            "Name a server that the cluster reaches, such as http://mlflow.mlflow:5000.",
        )
    from pipelines.graph import build_pipeline

    pipeline = build_pipeline(recipe, image=image, tracking_uri=tracking_uri, checkpoint_uri=checkpoint_uri)
    write_compiled(pipeline, output)


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
