"""A verdict in the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from components.evaluate.documents import Verdict
from pipelines.cli.console import PEOPLE, escape, print_table


def print_verdict(verdict: Verdict, directory: Path) -> None:
    """The checks as a table, the answer below it."""
    table = Table("check", "value", "limit", "", "reason")
    for check in verdict.checks:
        table.add_row(
            check.name,
            "–" if check.value is None else f"{check.value:.4g}",
            "–" if check.limit is None else f"{check.limit:.4g}",
            "[green]passed[/]" if check.passed else "[red]failed[/]",
            escape(check.reason),
        )
    print_table(table, to_people=True)
    answer = "[bold green]passed[/]" if verdict.passed else "[bold red]failed[/]"
    PEOPLE.print(f"Verdict: {answer}. Report: {directory / 'report.html'}", soft_wrap=True)
