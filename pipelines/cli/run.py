"""``ganvas run``: the whole graph on this machine."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.console import PEOPLE, print_json
from pipelines.cli.options import JsonOption, RecipeArgument, RunnerOption, SetOption, resolved
from pipelines.stages import STAGES


def run(
    recipe: RecipeArgument,
    changes: SetOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Output directory, new or a stopped run's; by default runs/<recipe>-<time>.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, order and noise.")] = None,
    runner: RunnerOption = "subprocess",
    json: JsonOption = False,
) -> None:
    """Run the whole graph here: prepare, train, export, judge, promote. Exit code 3 where the gate fails."""
    chosen = resolved(recipe, changes, seed=seed)
    from pipelines.cost import estimate
    from pipelines.local import champion_hint, require_ready, run_locally

    output = out or Path("runs") / f"{chosen.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    require_ready(output)
    cost = estimate(chosen)
    PEOPLE.print(
        f"[bold]{chosen.name}[/]: about {_duration(cost.seconds)} on this machine's CPU, "
        f"{cost.disk_bytes / 1e6:.0f} MB on disk, in {output}",
        soft_wrap=True,
    )
    from pipelines.cli.progress import shown_progress

    with shown_progress({stage.task: stage.title for stage in STAGES}) as progress:
        finished = run_locally(chosen, output.resolve(), runner, progress)
    if out is None:
        _point_latest_at(output)
    from components.evaluate.reader import read_report
    from pipelines.cli.verdict import print_verdict

    _, verdict = read_report(output)
    if json:
        print_json(
            finished.model_dump(mode="json", exclude={"recipe"})
            | {"directory": str(output), "verdict": verdict.model_dump(mode="json")}
        )
    else:
        print_verdict(verdict, output)
        PEOPLE.print(
            f"{_duration(finished.wall_seconds)}, of which {finished.overhead_seconds:.0f} s were not the steps' own "
            f"work. {champion_hint(finished)}",
            soft_wrap=True,
        )
    if finished.outcome == "failed":
        raise typer.Exit(3)


def _point_latest_at(output: Path) -> None:
    latest = output.parent / "latest"
    temporary = output.parent / f".latest-{time.time_ns()}"
    temporary.symlink_to(output.name)
    temporary.replace(latest)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
