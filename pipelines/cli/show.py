"""``ganvas recipes`` and ``ganvas show``."""

from __future__ import annotations

from pipelines.cli.console import escape, print_json, print_table
from pipelines.cli.options import JsonOption, RecipeArgument, SetOption, resolved
from pipelines.recipes import RECIPES


def recipes(json: JsonOption = False) -> None:
    """List the recipes."""
    known = [function() for function in RECIPES.values()]
    if json:
        print_json([{"name": recipe.name, "description": recipe.description} for recipe in known])
        return
    from rich.table import Table

    table = Table("recipe", "family", "data", "images", "what it is")
    for recipe in known:
        table.add_row(
            recipe.name,
            recipe.model.family,
            recipe.data.source,
            f"{recipe.training.images_seen:,}",
            recipe.description,
        )
    print_table(table)


def show(recipe: RecipeArgument, changes: SetOption = None, json: JsonOption = False) -> None:
    """Show a recipe as it would be run, with every field that --set can change."""
    chosen = resolved(recipe, changes)
    if json:
        print_json(chosen.model_dump(mode="json"))
        return
    from rich.table import Table

    table = Table("field", "value", "meaning")
    for path, value, description in _fields(chosen, ""):
        table.add_row(path, escape(value), escape(description))
    print_table(table)


def _fields(settings: object, prefix: str) -> list[tuple[str, str, str]]:
    from models.config import Settings

    assert isinstance(settings, Settings)
    rows = []
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, Settings):
            rows += _fields(value, f"{prefix}{name}.")
        else:
            rows.append((prefix + name, "–" if value is None else str(value), field.description or ""))
    return rows
