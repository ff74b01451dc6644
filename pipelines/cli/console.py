"""How the command line speaks: people on standard error, programs on standard output."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from rich.table import Table

PEOPLE = Console(stderr=True, highlight=False)
ENDLESS = 1_000_000
"""Columns of what is no terminal: a row is a line there, and nothing of it is cut."""


def print_json(value: Any) -> None:
    """The one JSON document of ``--json``."""
    json.dump(value, sys.stdout, indent=2)
    sys.stdout.write("\n")


def print_table(table: Table, *, to_people: bool = False) -> None:
    """A table, as wide as the terminal is; into a pipe or a file as wide as its values.

    Args:
        table: what to print.
        to_people: on standard error, where it is told beside a command's result and is not the result.
    """
    console = PEOPLE if to_people else Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=ENDLESS)
    console.print(table)


def say_error(message: str) -> None:
    """One line that a person acts on."""
    PEOPLE.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)


def escape(text: str) -> str:
    """Text with what rich takes for markup made literal."""
    from rich.markup import escape as rich_escape

    return rich_escape(" ".join(text.split()))
