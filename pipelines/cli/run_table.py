"""A run on a cluster as it goes: a table on a terminal, lines elsewhere, and the table once at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.live import Live
from rich.table import Table

from pipelines.cli.console import PEOPLE, escape, print_table
from pipelines.remote.states import Row, RunState

COLOURS = {"SUCCEEDED": "green", "FAILED": "red", "CANCELED": "red", "RUNNING": "cyan"}
WORDS = {"SUCCEEDED": "done", "SKIPPED": "skipped", "CANCELED": "cancelled"}


@contextmanager
def shown_run() -> Iterator[Callable[[RunState], None]]:
    """Show a run to a person, at each state that it is told of."""
    if PEOPLE.is_terminal:
        with Live(console=PEOPLE, auto_refresh=False) as live:
            yield lambda run: live.update(table_of(run), refresh=True)
        return
    before: dict[str, str] = {}
    last: list[RunState] = []

    def show(run: RunState) -> None:
        for row in run.rows:
            if row.state and before.get(row.task) != row.state:
                before[row.task] = row.state
                PEOPLE.print(f"{row.title}: {_word(row)}", soft_wrap=True)
        last[:] = [run]

    yield show
    if last:
        print_table(table_of(last[0]), to_people=True)


def table_of(run: RunState) -> Table:
    """One row a stage."""
    table = Table("step", "state", "time", "")
    for row in run.rows:
        colour = COLOURS.get(row.state, "dim")
        table.add_row(row.title, f"[{colour}]{_word(row)}[/]", _time(row.seconds), escape(row.reason)[:100])
    return table


def _word(row: Row) -> str:
    word = WORDS.get(row.state, row.state.lower() or "-")
    return f"{word} {row.done}/{row.count}" if row.count > 1 else word


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
