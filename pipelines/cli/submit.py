"""``ganvas compile``, ``ganvas submit`` and ``ganvas watch``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.recipe import Recipe
from pipelines.cli.console import PEOPLE, escape, print_json
from pipelines.cli.image_options import ImageOption, MutableOption, require_immutable
from pipelines.cli.interruption import noticed_interrupt
from pipelines.cli.options import JsonOption, RecipeArgument, SetOption, parsed_changes, resolved
from pipelines.cli.server_options import ExperimentOption, ParameterOption, ServiceAccountOption, takes_address
from pipelines.cli.surroundings_options import takes_surroundings
from pipelines.remote.server import Address, Server
from pipelines.surroundings import Surroundings, require_reachable

if TYPE_CHECKING:
    from pipelines.remote.states import RunState
    from pipelines.remote.uploads import Graph

GATE_FAILED, STEP_FAILED, INTERRUPTED = 3, 1, 130


@takes_surroundings
def compile_pipeline(
    recipe: RecipeArgument,
    image: ImageOption,
    output: Annotated[Path, typer.Option("-o", "--output", help="YAML file to write.")],
    around: Surroundings,
    changes: SetOption = None,
    allow_mutable_image: MutableOption = False,
) -> None:
    """Compile the graph for Kubeflow Pipelines."""
    require_immutable(image, allow_mutable_image)
    chosen = resolved(recipe, changes)
    from pipelines.compile import compile_to

    compile_to(chosen, image, output, around)
    warn_of_no_store(around)
    PEOPLE.print(f"{output}: {chosen.name} with image {image}.", soft_wrap=True)


@takes_surroundings
@takes_address
def submit(
    recipe: RecipeArgument,
    image: ImageOption,
    around: Surroundings,
    at: Address,
    changes: SetOption = None,
    parameters: ParameterOption = None,
    name: Annotated[str, typer.Option(help="Of the run in the list; by default the recipe's.")] = "",
    experiment: ExperimentOption = "ganvas",
    service_account: ServiceAccountOption = "",
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run to its end.")] = False,
    poll_seconds: Annotated[float, typer.Option(min=0.05, help="With --wait: between two looks.")] = 5.0,
    allow_mutable_image: MutableOption = False,
    json: JsonOption = False,
) -> None:
    """Run the graph on Kubeflow Pipelines. With --wait, exit code 3 where the gate fails, 1 where another step does."""
    require_immutable(image, allow_mutable_image)
    base, graph, arguments = prepared(recipe, image, changes, parameters, around)
    from pipelines.remote.runs import start_run
    from pipelines.remote.uploads import uploaded

    server = Server(at)
    warn_of_no_store(around)
    version = uploaded(server, graph, base.name, image)
    run_id = start_run(server, version, experiment, name or base.name, arguments, service_account)
    page = server.run_page(run_id)
    PEOPLE.print(
        f"{graph.pipeline_name}, version {version.name} ({'uploaded' if version.is_new else 'was there already'})",
        soft_wrap=True,
    )
    PEOPLE.print(f"Run {run_id}: {page}", soft_wrap=True)
    told = {"run_id": run_id, "url": page, "pipeline_id": version.pipeline_id, "version_id": version.version_id}
    if wait:
        _follow(server, run_id, poll_seconds, told, json=json)
    elif json:
        print_json(told | {"state": "PENDING"})


@takes_address
def watch(
    run_id: Annotated[str, typer.Argument(help="Id of the run.")],
    at: Address,
    poll_seconds: Annotated[float, typer.Option(min=0.05, help="Between two looks.")] = 5.0,
    json: JsonOption = False,
) -> None:
    """Follow a run on Kubeflow Pipelines to its end. Exit codes as of submit --wait."""
    server = Server(at)
    _follow(server, run_id, poll_seconds, {"run_id": run_id, "url": server.run_page(run_id)}, json=json)


def prepared(
    recipe: str, image: str, changes: list[str] | None, parameters: list[str] | None, around: Surroundings
) -> tuple[Recipe, Graph, dict[str, object]]:
    """The recipe as it is named, its compiled graph, and the arguments that say what was changed.

    Raises:
        ConfigurationError: for anything that the run would stumble over.
    """
    require_reachable(around)
    resolved(recipe, changes)  # what it refuses, the first step on the cluster would
    base = resolved(recipe, None)
    from pipelines.remote.arguments import arguments_of, with_parameters
    from pipelines.remote.uploads import compiled

    graph = compiled(base, image, around)
    arguments = with_parameters(arguments_of(base, parsed_changes(changes)), parameters or [], graph.parameters)
    return base, graph, arguments


def warn_of_no_store(around: Surroundings) -> None:
    """Say what it means that no MLflow server was named."""
    if not around.tracking_uri:
        PEOPLE.print(
            "[yellow]No --tracking-uri:[/] unless the pods' environment names a server, the version becomes an "
            "artifact of its run, and nothing serves it.",
            soft_wrap=True,
        )


def _follow(server: Server, run_id: str, poll_seconds: float, told: dict[str, str], *, json: bool) -> None:
    from pipelines.cli.run_table import shown_run
    from pipelines.remote.runs import follow

    try:
        with noticed_interrupt() as require_uninterrupted, shown_run() as show:

            def see(run: RunState) -> None:
                show(run)
                require_uninterrupted()

            end = follow(server, run_id, see, poll_seconds=poll_seconds)
    except KeyboardInterrupt:
        PEOPLE.print(f"The run goes on: {server.run_page(run_id)}", soft_wrap=True)
        PEOPLE.print(f"Look again: ganvas watch {run_id} --host {server.address.host}", soft_wrap=True)
        raise typer.Exit(INTERRUPTED) from None
    if json:
        print_json(told | {"state": end.state, "gate_failed": end.gate_failed, "reason": end.reason})
    colour = "green" if end.state == "SUCCEEDED" else "red"
    PEOPLE.print(f"[{colour}]{end.state.lower()}[/] {escape(end.reason)}".rstrip(), soft_wrap=True)
    if end.state != "SUCCEEDED":
        raise typer.Exit(GATE_FAILED if end.gate_failed else STEP_FAILED)
