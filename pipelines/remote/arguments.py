"""What a run is given: a recipe's changes as the graph's parameters, so that one uploaded version serves them all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from components.evaluate.settings import MEASURING
from components.recipe import Recipe, nearest_names
from models.errors import ConfigurationError
from pipelines.limits import gate_limits_of

PARAMETERS = {
    "data.source": "data_source",
    "seed": "seed",
    "training.images_seen": "images_seen",
    "promotion.model_name": "model_name",
    "promotion.automatic": "automatic_promotion",
    "resources.nodes": "nodes",
}
"""Fields of the recipe that have a parameter of their own."""


def arguments_of(recipe: Recipe, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The run's arguments that say the same as ``--set``.

    Fields with a parameter of their own go there, the gate's limits into ``gate_limits``, all others into
    ``overrides``.

    Args:
        recipe: that the graph was compiled for.
        changes: by dotted path; already known to fit the recipe.
    """
    arguments: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    overrides: dict[str, Any] = {}
    for path, value in changes.items():
        group, _, name = path.partition(".")
        if path in PARAMETERS:
            arguments[PARAMETERS[path]] = value
        elif group == "gate" and name and "." not in name and name not in MEASURING:
            limits[name] = value
        else:
            overrides[path] = value
        if path == "name":
            arguments["recipe_name"] = value
    if limits:
        arguments["gate_limits"] = gate_limits_of(recipe) | limits
    if overrides:
        arguments["overrides"] = overrides
    return arguments


def with_parameters(
    arguments: Mapping[str, Any], given: list[str], definitions: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The arguments and what ``--parameter NAME=VALUE`` adds to them.

    Args:
        arguments: of ``--set``.
        given: texts ``NAME=VALUE``; the value is JSON, except for parameters that are texts.
        definitions: the compiled graph's parameters by name, each with ``parameterType``.

    Raises:
        ConfigurationError: for an unknown name, a value of another type, or one that ``--set`` says otherwise.
    """
    merged = dict(arguments)
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigurationError(
                f"--parameter {text} is not of the form NAME=VALUE.", "Write --parameter accelerator_count=1."
            )
        if name not in definitions:
            raise ConfigurationError(f"The graph has no parameter {name}.", nearest_names(name, definitions))
        parsed = _parsed(name, value, str(definitions[name]["parameterType"]))
        if name in merged and merged[name] != parsed:
            raise ConfigurationError(
                f"{name} is given twice: {merged[name]!r} and {parsed!r}.", "Keep one of --set and --parameter."
            )
        merged[name] = parsed
    return merged


def _parsed(name: str, value: str, kind: str) -> Any:
    if kind == "STRING":
        return value
    try:
        parsed = json.loads(value)
    except ValueError:
        parsed = None
    fits = {
        "NUMBER_INTEGER": isinstance(parsed, int) and not isinstance(parsed, bool),
        "NUMBER_DOUBLE": isinstance(parsed, int | float) and not isinstance(parsed, bool),
        "BOOLEAN": isinstance(parsed, bool),
        "LIST": isinstance(parsed, list),
        "STRUCT": isinstance(parsed, dict),
    }
    if not fits.get(kind, False):
        what = {
            "NUMBER_INTEGER": "a whole number",
            "NUMBER_DOUBLE": "a number",
            "BOOLEAN": "true or false",
            "LIST": "a JSON list",
            "STRUCT": "a JSON object",
        }.get(kind, kind)
        raise ConfigurationError(f"--parameter {name}={value} is not {what}.", f"Write {name} as {what}.")
    return parsed
