"""Options that several commands share, given to each in the place of one parameter."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

Command = Callable[..., None]


def takes_group(
    command: Command,
    name: str,
    options: Mapping[str, typer.models.OptionInfo],
    defaults: Mapping[str, Any],
    built: Callable[..., Any],
) -> Command:
    """A command whose parameter of this name is made of options.

    Args:
        command: to be given to Typer.
        name: of its parameter.
        options: by the names of their values.
        defaults: of the options that have one; the others are required. An option's type is its default's.
        built: makes the parameter out of the values.
    """
    signature = inspect.signature(command, eval_str=True)
    own = [parameter for parameter in signature.parameters.values() if parameter.name != name]
    added = [
        inspect.Parameter(
            option,
            inspect.Parameter.KEYWORD_ONLY,
            default=defaults.get(option, inspect.Parameter.empty),
            annotation=Annotated[type(defaults.get(option, "")), info],
        )
        for option, info in options.items()
    ]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        made = built(**{option: given.pop(option) for option in options})
        command(**given, **{name: made})

    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own] + added
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
