"""``ganvas lab``: the theory's demonstrations."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.console import PEOPLE, escape, print_json, print_table
from pipelines.cli.options import JsonOption

if TYPE_CHECKING:
    from pipelines.labs.result import Numbers


def lab(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A demonstration; none lists them.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights, data and noise.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Output directory; by default runs/lab-<name>-<time>.")] = None,
    json: JsonOption = False,
) -> None:
    """Run a demonstration of the theory: its numbers beside the closed form, and whether the claim holds."""
    if name is None:
        _list(json)
        return
    from components.artifacts import prepare_output_directory, write_bytes_atomically, write_document
    from pipelines.labs.registry import SUMMARIES, lab_name, run_lab
    from pipelines.labs.result import DOCUMENT_NAME, PICTURE_NAME

    chosen = lab_name(name)
    output = out or Path("runs") / f"lab-{chosen}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    prepare_output_directory(output, DOCUMENT_NAME)
    PEOPLE.print(f"[bold]{chosen}[/]: {escape(SUMMARIES[chosen])}. At most about a minute on one core.", soft_wrap=True)
    started = time.perf_counter()
    finding = run_lab(chosen, seed)
    seconds = time.perf_counter() - started
    numbers = finding.numbers(chosen, seed)
    write_bytes_atomically(output / PICTURE_NAME, finding.picture)
    write_document(output / DOCUMENT_NAME, numbers)
    if json:
        print_json(numbers.model_dump(mode="json") | {"directory": str(output), "seconds": round(seconds, 1)})
        return
    _print(numbers)
    PEOPLE.print(f"{seconds:.0f} s. Picture: {output / PICTURE_NAME}", soft_wrap=True)


def _list(json: bool) -> None:
    from pipelines.labs.registry import SUMMARIES

    if json:
        print_json([{"name": name, "summary": summary} for name, summary in SUMMARIES.items()])
        return
    from rich.table import Table

    table = Table("demonstration", "what it shows")
    for name, summary in SUMMARIES.items():
        table.add_row(name, summary)
    print_table(table)


def _print(numbers: Numbers) -> None:
    from rich.table import Table

    marks = {True: "[green]yes[/]", False: "[red]no[/]", None: "–"}
    table = Table("quantity", "measured", "expected", "holds")
    for quantity in numbers.quantities:
        table.add_row(escape(quantity.name), f"{quantity.measured:.4g}", quantity.expectation, marks[quantity.holds])
    print_table(table, to_people=True)
    PEOPLE.print(f"Claim: {escape(numbers.claim)}", soft_wrap=True)
    color = "green" if numbers.confirmed else "red"
    verdict, _, rest = numbers.sentence.partition(": ")
    PEOPLE.print(f"[bold {color}]{verdict}[/]: {escape(rest)}", soft_wrap=True)
