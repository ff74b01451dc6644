"""Where the limits of an evaluation outside the pipeline come from."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from components.artifacts import first_problem
from components.evaluate.settings import GateSettings
from components.export.bundle import RECIPE_NAME, read_bundle
from components.recipe import Recipe, parse_recipe
from models.errors import ArtifactError, ConfigurationError


def limits_of(bundle: Path, file: Path | None) -> tuple[Recipe, GateSettings, str]:
    """The recipe that a bundle was made by, the limits to judge it by, and where these come from.

    Args:
        bundle: a finished Bundle with its ``recipe.json``.
        file: JSON of limits that replace the recipe's; so an old version can be judged by new limits.

    Raises:
        ArtifactError: if the bundle has no recipe.
        ConfigurationError: if the file is missing or a limit in it is unknown or out of range.
    """
    read_bundle(bundle)
    try:
        recipe = parse_recipe((bundle / RECIPE_NAME).read_text())
    except OSError as error:
        raise ArtifactError(f"{bundle} has no {RECIPE_NAME}.", "Export the checkpoint again.") from error
    if file is None:
        return recipe, recipe.gate, f"recipe {recipe.name}"
    try:
        return recipe, GateSettings.model_validate_json(file.read_bytes()), f"file {file.name}"
    except OSError as error:
        raise ConfigurationError(f"Cannot read the limits in {file}: {error.strerror}.", "Name a JSON file.") from error
    except ValidationError as error:
        raise ConfigurationError(
            f"{file}: {first_problem(error)}.", f"Limits are: {', '.join(GateSettings.model_fields)}."
        ) from error
