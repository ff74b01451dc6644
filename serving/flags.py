"""The command line of the server, made of its settings: one flag a field, and what is no setting."""

from __future__ import annotations

import argparse
import types
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from serving.errors import UsageError
from serving.settings import FILE_VARIABLE, Settings

_EPILOG = f"""\
Every setting is also GANVAS_SERVE_<NAME> in the environment, and <name> in the file of --settings ({FILE_VARIABLE}).
Flags go before the environment, and that before the file.
"""


@dataclass(frozen=True)
class CommandLine:
    """What was asked for.

    Attributes:
        given: the settings by their names, those that were given and no others.
        file: of settings; None if it was not named here.
        print_settings: only show them.
    """

    given: dict[str, Any]
    file: Path | None
    print_settings: bool


def read_command_line(arguments: Sequence[str]) -> CommandLine:
    """Arguments as settings; their values are checked later, with those of the other places.

    A setting of several values takes them as the environment does, in one text.

    Raises:
        UsageError: if there is no such flag, or it needs a value.
    """
    parser = _Parser(
        prog="ganvas-serve",
        description="Serve generative models from a registry, from directories, or from S3.",
        epilog=_EPILOG,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help=_help(Settings.model_fields["models"]))
    for name, field in Settings.model_fields.items():
        if name != "models":
            _add_flag(parser, name, field)
    parser.add_argument("--settings", type=Path, metavar="FILE", help="read settings from this TOML or JSON file")
    parser.add_argument(
        "--print-settings",
        action="store_true",
        help="print the settings and where each comes from as JSON, secrets masked, and exit",
    )
    given = vars(parser.parse_args(list(arguments)))
    file, print_settings = given.pop("settings", None), given.pop("print_settings", False)
    if not given.get("models"):
        given.pop("models", None)
    return CommandLine(given, file, print_settings)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}.", "See python -m serving --help.")


def _add_flag(parser: argparse.ArgumentParser, name: str, field: FieldInfo) -> None:
    flag, help_text = f"--{name.replace('_', '-')}", _help(field)
    if field.annotation is bool:
        parser.add_argument(flag, dest=name, action=argparse.BooleanOptionalAction, help=help_text)
    elif get_origin(field.annotation) is Literal:
        choices = [str(choice) for choice in get_args(field.annotation)]
        parser.add_argument(flag, dest=name, choices=choices, help=help_text)
    else:
        parser.add_argument(flag, dest=name, metavar=_metavar(field.annotation), help=help_text)


def _help(field: FieldInfo) -> str:
    words = field.description or ""
    if field.default_factory is None and field.default not in (None, "", (), False):
        words = f"{words} ({field.default})".strip()
    return words.replace("%", "%%")


def _metavar(annotation: Any) -> str:
    """What kind of value a flag takes, in one word; of ``T | None`` it is T's."""
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return {int: "N", float: "X", Path: "PATH"}.get(annotation, "TEXT")
