"""``ganvas serve`` and ``ganvas rollback``: what is in the registry, used."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from pipelines.cli.console import PEOPLE, print_json
from pipelines.cli.options import JsonOption


def serve(context: typer.Context) -> None:
    """Serve models: NAME... [--alias champion] [--tracking-uri URI] | --bundle DIR  [--host] [--port].

    Everything is handed over to `python -m serving`; see `python -m serving --help`.
    """
    from components.tracking import tracking_uri

    arguments = list(context.args)
    if not any(argument.startswith(("--tracking-uri", "--bundle")) for argument in arguments):
        arguments += ["--tracking-uri", tracking_uri()]
    os.execv(sys.executable, [sys.executable, "-m", "serving", *arguments])


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
