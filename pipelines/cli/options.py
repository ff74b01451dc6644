"""Options that several subcommands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from components.recipe import Recipe, override, parse_override
from models.errors import ConfigurationError
from pipelines.recipes import recipe_by_name

RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a recipe; see `ganvas recipes`.")]
RecipeOption = Annotated[str, typer.Option("--recipe", metavar="RECIPE", help="Recipe that settings start from.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a field, e.g. training.images_seen=50000. Repeatable."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
RunnerOption = Annotated[Literal["subprocess", "docker"], typer.Option(help="How each step runs.")]
OutOption = Annotated[Path, typer.Option("--out", help="Output directory.")]


def parsed_changes(changes: list[str] | None) -> dict[str, Any]:
    """Values by dotted path of ``--set``.

    Raises:
        ConfigurationError: for one that is no ``PATH=VALUE``, or a path with two values.
    """
    parsed: dict[str, Any] = {}
    for path, value in map(parse_override, changes or []):
        if path in parsed and parsed[path] != value:
            raise ConfigurationError(f"{path} is given twice: {parsed[path]!r} and {value!r}.", "Keep one of them.")
        parsed[path] = value
    return parsed


def with_options(changes: list[str] | None, given: dict[str, Any]) -> dict[str, Any]:
    """Values by dotted path of ``--set`` and of fields' own options; None is not given.

    Raises:
        ConfigurationError: as ``parsed_changes``, or for a path that ``--set`` and its own option give differently.
    """
    parsed = parsed_changes(changes)
    for path, value in given.items():
        if value is not None and parsed.setdefault(path, value) != value:
            option = "--" + path.split(".")[-1].replace("_", "-")
            raise ConfigurationError(
                f"{path} is given twice: {value} by {option} and {parsed[path]} by --set.", "Keep one of them."
            )
    return parsed


def resolved(name: str, changes: list[str] | None, *, seed: int | None = None) -> Recipe:
    """The named recipe with ``--set`` and ``--seed`` applied."""
    return override(recipe_by_name(name), with_options(changes, {"seed": seed}))
