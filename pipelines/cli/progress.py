"""The steps of a run as they happen: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from pipelines.cli.console import PEOPLE, escape
from pipelines.local import Progress as Told

SHARE = re.compile(r"^(\d+)%")


@contextmanager
def shown_progress(titles: Mapping[str, str]) -> Iterator[Told]:
    """Tell a person what the run is doing.

    Args:
        titles: what each task is called, in their order.
    """
    if not PEOPLE.is_terminal:
        yield _lines(titles)
        return
    columns = (
        TextColumn("{task.description:<20}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[line]}"),
    )
    with Progress(*columns, console=PEOPLE) as bars:
        tasks: dict[str, TaskID] = {}

        def on_start(name: str) -> None:
            tasks[name] = bars.add_task(titles.get(name, name), total=None, line="")

        def on_line(name: str, line: str) -> None:
            if name in tasks:
                share = SHARE.match(line)
                if share:
                    bars.update(tasks[name], total=100, completed=int(share[1]))
                bars.update(tasks[name], line=f"[dim]{escape(line)[:100]}[/]")

        def on_end(name: str, succeeded: bool) -> None:
            if name in tasks:
                mark = "[green]done[/]" if succeeded else "[red]failed[/]"
                bars.update(tasks[name], total=100, completed=100, line=mark)
                bars.stop_task(tasks[name])

        yield Told(on_start, on_line, on_end)


def _lines(titles: Mapping[str, str]) -> Told:
    started: dict[str, float] = {}

    def on_start(name: str) -> None:
        started[name] = time.perf_counter()
        PEOPLE.print(f"{titles.get(name, name)} ...")

    def on_line(name: str, line: str) -> None:
        PEOPLE.print(f"  {escape(line)}", soft_wrap=True)

    def on_end(name: str, succeeded: bool) -> None:
        seconds = time.perf_counter() - started.get(name, time.perf_counter())
        PEOPLE.print(f"{titles.get(name, name)}: {'done' if succeeded else 'failed'} after {seconds:.1f} s")

    return Told(on_start, on_line, on_end)
