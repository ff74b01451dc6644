"""``ganvas compare``: AE, VAE and GAN on the same data."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from models.errors import ConfigurationError
from pipelines.cli.console import PEOPLE, escape, print_json
from pipelines.cli.image_options import MutableOption, require_immutable
from pipelines.cli.options import JsonOption, RunnerOption, SetOption, with_options
from pipelines.cli.surroundings_options import takes_surroundings
from pipelines.surroundings import Surroundings, require_reachable


@takes_surroundings
def compare(
    around: Surroundings,
    source: Annotated[str, typer.Argument(help="The data: digits, a folder of pictures, s3://... and more.")],
    changes: SetOption = None,
    images_seen: Annotated[int | None, typer.Option(min=1, help="Budget of each model.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Output directory, new or a stopped comparison's; by default runs/compare-<time>."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, order and noise.")] = None,
    runner: RunnerOption = "subprocess",
    compile_to: Annotated[
        Path | None, typer.Option("--compile", metavar="FILE", help="Write the graph for a cluster, and run nothing.")
    ] = None,
    image: Annotated[str, typer.Option(help="With --compile: image of every step, NAME@sha256:...")] = "",
    accelerators: Annotated[int, typer.Option(min=0, help="With --compile: GPUs of each training.")] = 0,
    allow_mutable_image: MutableOption = False,
    json: JsonOption = False,
) -> None:
    """Train AE, VAE and GAN on the same data with the same budget; every claim about them gets its number."""
    from pipelines.contestants import contestants

    recipes = contestants(source, with_options(changes, {"training.images_seen": images_seen, "seed": seed}))
    if compile_to is not None:
        require_immutable(image, allow_mutable_image)
        from pipelines.comparison import build_comparison
        from pipelines.compile import write_compiled

        require_reachable(around)
        graph = build_comparison(recipes, image=image, accelerators=accelerators, around=around)
        write_compiled(graph, compile_to)
        PEOPLE.print(f"{compile_to}: {', '.join(recipe.name for recipe in recipes)} with image {image}.")
        return
    if image or accelerators or allow_mutable_image or around != Surroundings():
        raise ConfigurationError(
            "--image, --accelerators and what a cluster is told go with --compile.", "Name the file: --compile FILE."
        )
    output = out or Path("runs") / f"compare-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    from pipelines.cli.progress import shown_progress
    from pipelines.local_comparison import compare_locally
    from pipelines.stages import COMPARISON_STAGES

    names = ", ".join(recipe.name for recipe in recipes)
    PEOPLE.print(f"[bold]{names}[/]: {recipes[0].training.images_seen:,} images each, in {output}", soft_wrap=True)
    with shown_progress({stage.task: stage.title for stage in COMPARISON_STAGES}) as progress:
        found = compare_locally(recipes, output.resolve(), runner, progress)
    if json:
        print_json(found.model_dump(mode="json"))
        return
    colours = {"confirmed": "green", "refuted": "red", "undecided": "dim"}
    for claim in found.claims:
        PEOPLE.print(f"[{colours[claim.outcome]}]{claim.outcome:<9}[/] {claim.statement} {escape(claim.reason)}.")
    PEOPLE.print(f"Page: {output / 'comparison.html'}", soft_wrap=True)
