"""``ganvas schedule``: recurring runs."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from pipelines.cli.console import PEOPLE, escape, print_json, print_table
from pipelines.cli.image_options import ImageOption, MutableOption, require_immutable
from pipelines.cli.options import JsonOption, RecipeArgument, SetOption
from pipelines.cli.server_options import ExperimentOption, ParameterOption, ServiceAccountOption, takes_address
from pipelines.cli.submit import prepared, warn_of_no_store
from pipelines.cli.surroundings_options import takes_surroundings
from pipelines.remote.server import Address, Server
from pipelines.surroundings import Surroundings

schedule = typer.Typer(no_args_is_help=True, help="Recurring runs on Kubeflow Pipelines.")
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name or id of the schedule.")]


@schedule.command("create")
@takes_surroundings
@takes_address
def create(
    recipe: RecipeArgument,
    image: ImageOption,
    around: Surroundings,
    at: Address,
    cron: Annotated[str, typer.Option(help="Minute, hour, day, month, weekday: '0 3 * * *'.")] = "",
    every: Annotated[str, typer.Option(help="An interval: 30m, 6h, 1d, 2w.")] = "",
    name: Annotated[str, typer.Option(help="By default the recipe's.")] = "",
    max_concurrency: Annotated[int, typer.Option(min=1, max=10, help="Runs at the same time.")] = 1,
    disabled: Annotated[bool, typer.Option("--disabled", help="Make it, but let it rest.")] = False,
    changes: SetOption = None,
    parameters: ParameterOption = None,
    experiment: ExperimentOption = "ganvas",
    service_account: ServiceAccountOption = "",
    allow_mutable_image: MutableOption = False,
    json: JsonOption = False,
) -> None:
    """Run the graph again and again. Missed times are not caught up on."""
    from pipelines.remote.schedules import clock, create_schedule
    from pipelines.remote.uploads import uploaded

    when = clock(cron, every)
    require_immutable(image, allow_mutable_image)
    base, graph, arguments = prepared(recipe, image, changes, parameters, around)
    server = Server(at)
    warn_of_no_store(around)
    version = uploaded(server, graph, base.name, image)
    schedule_id = create_schedule(
        server,
        version,
        experiment,
        name or base.name,
        when,
        arguments,
        max_concurrency=max_concurrency,
        enabled=not disabled,
        service_account=service_account,
    )
    page = server.schedule_page(schedule_id)
    if json:
        print_json({"schedule_id": schedule_id, "url": page, "version_id": version.version_id})
        return
    PEOPLE.print(f"Schedule {name or base.name} ({schedule_id}): {page}", soft_wrap=True)


@schedule.command("list")
@takes_address
def show_all(at: Address, json: JsonOption = False) -> None:
    """List the schedules."""
    from pipelines.remote.schedules import list_schedules

    found = list_schedules(Server(at))
    if json:
        print_json([one.__dict__ for one in found])
        return
    from rich.table import Table

    table = Table("name", "state", "when", "at a time", "id")
    for one in found:
        state = "enabled" if one.enabled else "disabled"
        table.add_row(escape(one.name), state, one.when, str(one.max_concurrency), one.schedule_id)
    print_table(table, to_people=True)


@schedule.command("enable")
@takes_address
def enable(name: NameArgument, at: Address) -> None:
    """Let a schedule run."""
    _change("enable", name, Server(at))


@schedule.command("disable")
@takes_address
def disable(name: NameArgument, at: Address) -> None:
    """Let a schedule rest. Runs that were begun go on."""
    _change("disable", name, Server(at))


@schedule.command("delete")
@takes_address
def delete(name: NameArgument, at: Address) -> None:
    """Remove a schedule. Its runs stay."""
    _change("delete", name, Server(at))


def _change(change: Literal["enable", "disable", "delete"], name: str, server: Server) -> None:
    from pipelines.remote.schedules import change_schedule

    before = change_schedule(server, name, change)
    PEOPLE.print(f"{escape(before.name)} ({before.schedule_id}): {change}d.", soft_wrap=True)
