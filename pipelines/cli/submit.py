"""``ganvas compile`` and ``ganvas submit``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from models.errors import ConfigurationError
from pipelines.cli.console import PEOPLE, print_json
from pipelines.cli.options import JsonOption, RecipeArgument, SetOption, resolved

ImageOption = Annotated[str, typer.Option(help="Image of every step, by digest: NAME@sha256:...")]
MutableOption = Annotated[
    bool, typer.Option("--allow-mutable-image", help="Accept a tag, whose content may change under a cached step.")
]
StoreOption = Annotated[
    str,
    typer.Option(
        "--tracking-uri",
        metavar="URI",
        help="MLflow as the cluster's pods reach it; needed unless their environment has MLFLOW_TRACKING_URI.",
    ),
]
CheckpointOption = Annotated[
    str,
    typer.Option(
        "--checkpoint-uri", metavar="URI", help="s3:// prefix for checkpoints: a retried pod goes on from them."
    ),
]
DIGEST = re.compile(r"^[^@\s]+@sha256:[0-9a-f]{64}$")


def require_immutable(image: str, allow_mutable: bool) -> None:
    """Refuse an image whose content can change under the same name.

    Raises:
        ConfigurationError: naming the remedy.
    """
    if not allow_mutable and not DIGEST.match(image):
        raise ConfigurationError(
            f"--image {image} is a mutable name: the same text may stand for other content tomorrow.",
            "Give NAME@sha256:DIGEST, or --allow-mutable-image for a test cluster.",
        )


def compile_pipeline(
    recipe: RecipeArgument,
    image: ImageOption,
    output: Annotated[Path, typer.Option("-o", "--output", help="YAML file to write.")],
    changes: SetOption = None,
    tracking_uri: StoreOption = "",
    checkpoint_uri: CheckpointOption = "",
    allow_mutable_image: MutableOption = False,
) -> None:
    """Compile the graph for Kubeflow Pipelines."""
    require_immutable(image, allow_mutable_image)
    chosen = resolved(recipe, changes)
    from pipelines.compile import compile_to

    compile_to(chosen, image, output, tracking_uri=tracking_uri, checkpoint_uri=checkpoint_uri)
    PEOPLE.print(f"{output}: {chosen.name} with image {image}.")


def submit(
    recipe: RecipeArgument,
    host: Annotated[str, typer.Option(envvar="KFP_HOST", help="URL of Kubeflow Pipelines.")],
    image: ImageOption,
    changes: SetOption = None,
    tracking_uri: StoreOption = "",
    checkpoint_uri: CheckpointOption = "",
    experiment: Annotated[str, typer.Option(help="KFP experiment.")] = "ganvas",
    wait: Annotated[bool, typer.Option(help="Wait for the end of the run.")] = False,
    allow_mutable_image: MutableOption = False,
    json: JsonOption = False,
) -> None:
    """Run the graph on Kubeflow Pipelines."""
    require_immutable(image, allow_mutable_image)
    chosen = resolved(recipe, changes)
    from pipelines.submission import submit_run

    run = submit_run(
        chosen, image, host, experiment, wait=wait, tracking_uri=tracking_uri, checkpoint_uri=checkpoint_uri
    )
    if json:
        print_json({"run_id": run.run_id, "url": run.url, "state": run.state})
    else:
        PEOPLE.print(f"{run.url}  {run.state}")
    if wait and run.state.lower() != "succeeded":
        raise typer.Exit(1)
