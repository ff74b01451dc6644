"""How the command line speaks: people on standard error, programs on standard output."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console

PEOPLE = Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """The one JSON document of ``--json``."""
    json.dump(value, sys.stdout, indent=2)
    sys.stdout.write("\n")


def say_error(message: str) -> None:
    """One line that a person acts on."""
    PEOPLE.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)


def escape(text: str) -> str:
    """Text with what rich takes for markup made literal."""
    from rich.markup import escape as rich_escape

    return rich_escape(" ".join(text.split()))
