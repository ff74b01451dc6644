"""A recipe: the complete settings of one run, composed of each step's own.

It travels between the steps as JSON and is an artifact of every run: files, not flags.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import Field, ValidationError

from components.artifacts import sha256_of_json
from components.evaluate.settings import GateSettings
from components.extractor.settings import ExtractorSettings
from components.prepare.settings import DataSettings
from components.promote.settings import PromotionSettings
from models.config import GanSettings, Model, Settings, TrainingSettings
from models.errors import ConfigurationError


class ResourceSettings(Settings):
    """What training asks of the machine or cluster."""

    nodes: int = Field(default=1, ge=1, le=4096, description="machines that train together")
    processes_per_node: int = Field(
        default=1, ge=0, le=1024, description="training processes on each machine; 0: one for every GPU"
    )
    accelerators_per_node: int = Field(
        default=0, ge=0, le=1024, description="GPUs that each machine of a cluster asks for; 0: none"
    )


class Recipe(Settings):
    """Everything a run needs to know."""

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    description: str = ""
    seed: int = Field(default=0, ge=0, lt=2**53)  # beyond it the engine, which carries doubles, would round
    data: DataSettings = DataSettings()
    model: Model = GanSettings()
    training: TrainingSettings = TrainingSettings()
    extractor: ExtractorSettings = ExtractorSettings()
    gate: GateSettings = GateSettings()
    promotion: PromotionSettings = PromotionSettings()
    resources: ResourceSettings = ResourceSettings()

    @property
    def model_name(self) -> str:
        """The name in the registry."""
        return self.promotion.model_name or self.name

    def for_training(self) -> Recipe:
        """The same recipe with everything that training does not depend on at its default.

        The pipeline's cache compares texts: a changed limit must not train again.
        """
        return Recipe(
            name=self.name, seed=self.seed, model=self.model, training=self.training, resources=self.resources
        )

    @property
    def sha256(self) -> str:
        """Identifies the settings, whatever the spelling of their JSON."""
        return sha256_of_json(self.model_dump(mode="json"))


def parse_recipe(text: str) -> Recipe:
    """A recipe from its JSON.

    Raises:
        ConfigurationError: naming the field that is wrong.
    """
    try:
        return Recipe.model_validate_json(text)
    except ValidationError as error:
        raise _explained(error) from error


def nearest_names(name: str, known: Iterable[str]) -> str:
    """A remedy that names what was probably meant."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(near)}?" if near else f"Known are: {', '.join(known)}."


def parse_override(text: str) -> tuple[str, Any]:
    """``path.to.field=value`` with the value as JSON, or as a bare string where it is not JSON."""
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise ConfigurationError(
            f"--set {text} is not of the form path.to.field=value.",
            "Write for instance --set training.images_seen=50000.",
        )
    try:
        return path.strip(), json.loads(value)
    except json.JSONDecodeError:
        return path.strip(), value


def override(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """The recipe with fields changed, each named by its dotted path.

    Raises:
        ConfigurationError: for an unknown field (with the nearest names) or a value out of range.
    """
    # A union's fields change with its kind: kinds first, outermost before inner, so that the new kind's fields are
    # there, at their defaults, for the other changes, in whatever order these were given.
    selectors = sorted((path for path in changes if _is_selector(path)), key=lambda path: path.count("."))
    for path in selectors:
        tree = recipe.model_dump(mode="json")
        node, last = _owner(tree, path)
        if node[last] != changes[path]:
            node.clear()
            node[last] = changes[path]
            recipe = _validated(tree)
    tree = recipe.model_dump(mode="json")
    for path, value in changes.items():
        node, last = _owner(tree, path)
        node[last] = value
    return _validated(tree)


def _is_selector(path: str) -> bool:
    return path.rpartition(".")[2] in ("kind", "family")


def _owner(tree: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    """The group of settings that a dotted path's last part is a field of, and that field."""
    parts = path.split(".")
    node: Any = tree
    for depth, part in enumerate(parts):
        if not isinstance(node, dict) or part not in node:
            where = ".".join(parts[:depth]) or "the recipe"
            raise ConfigurationError(
                f"Unknown field {path}: {where} has no {part}.",
                nearest_names(part, node) if isinstance(node, dict) else f"{where} is a single value.",
            )
        if depth < len(parts) - 1:
            node = node[part]
    return node, parts[-1]


def _validated(tree: dict[str, Any]) -> Recipe:
    try:
        return Recipe.model_validate_json(json.dumps(tree, allow_nan=False))
    except ValidationError as error:
        raise _explained(error) from error
    except ValueError as error:
        raise ConfigurationError(
            f"A value is not valid JSON: {error}.", "NaN and infinity are not settings."
        ) from error


def resolve(base: Recipe, typed: Mapping[str, Any], overrides: Mapping[str, Any]) -> Recipe:
    """Precedence, low to high: the recipe, typed pipeline parameters, overrides.

    A typed parameter counts as given when it differs from the recipe.

    Raises:
        ConfigurationError: if a given parameter and an override name the same field with different values, or
            as :func:`override`.
    """
    tree = base.model_dump(mode="json")
    given = {path: value for path, value in typed.items() if _at(tree, path) != value}
    for path in given.keys() & overrides.keys():
        if given[path] != overrides[path]:
            raise ConfigurationError(
                f"{path} is given twice: {given[path]!r} by its own parameter, {overrides[path]!r} by the overrides.",
                "Keep one of them.",
            )
    return override(base, {**given, **overrides})


def _at(tree: Any, path: str) -> Any:
    for part in path.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


def _union_tags(settings: type[Settings]) -> set[str]:
    """The values of ``kind`` and ``family`` throughout a tree of settings."""
    tags: set[str] = set()
    for field in settings.model_fields.values():
        for part in _settings_in(field.annotation):
            for name in ("kind", "family"):
                if name in part.model_fields:
                    tags.add(str(part.model_fields[name].default))
            tags |= _union_tags(part)
    return tags


def _settings_in(annotation: Any) -> list[type[Settings]]:
    """The groups of settings that an annotation can hold."""
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, Settings) else []
    return [part for argument in get_args(annotation) for part in _settings_in(argument)]


UNION_TAGS = _union_tags(Recipe)


def _explained(error: ValidationError) -> ConfigurationError:
    first = error.errors()[0]
    # Tags of the unions stand in the location beside the fields' names; only the latter mean anything to a reader.
    where = ".".join(str(part) for part in first["loc"] if part not in UNION_TAGS)
    message = first["msg"].removeprefix("Value error, ")
    shown = first.get("input")
    suffix = f", not {shown!r}" if isinstance(shown, str | int | float | bool) else ""
    return ConfigurationError(
        f"{where or 'recipe'}: {message}{suffix}.", "See `ganvas show RECIPE` for the fields and their ranges."
    )
