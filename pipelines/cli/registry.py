"""``ganvas serve`` and ``ganvas rollback``: what is in the registry, used."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from pipelines.cli.console import PEOPLE, print_json
from pipelines.cli.options import JsonOption


def serve(context: typer.Context) -> None:
    """Serve models: NAME, NAME@ALIAS, NAME/VERSION, NAME=DIR or NAME=s3://BUCKET/PREFIX; or --bundle DIR.

    Everything is handed over to `python -m serving`, which looks for the registry where the pipeline keeps it; see
    `python -m serving --help`.
    """
    os.execv(sys.executable, [sys.executable, "-m", "serving", *context.args])


def rollback(
    name: Annotated[str, typer.Argument(help="Registered model.")],
    to: Annotated[str | None, typer.Option(help="Version; by default the one that the champion replaced.")] = None,
    json: JsonOption = False,
) -> None:
    """Give the alias champion back to an earlier version. Serving follows."""
    from components.promote.core import rollback as move_back

    before, now = move_back(name, to)
    if json:
        print_json({"model_name": name, "before": before, "champion": now})
        return
    PEOPLE.print(f"{name}: champion is version {now} again (was {before}).")
