"""``ganvas gc``: room for new runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from models.errors import GanvasError
from pipelines.cli.console import PEOPLE, escape, print_json, say_error
from pipelines.cli.options import JsonOption
from pipelines.housekeeping.plan import Item, Plan, Rule, age, largest_first, plan

KINDS = ("run", "cache", "checkpoints", "version")


@dataclass(frozen=True)
class Hand:
    """How items of a kind are removed, and measured where their size is not known yet."""

    remove: Callable[[Item], None]
    measure: Callable[[Item], int] = lambda item: item.size_bytes or 0


Found = tuple[Iterable[Item], dict[str, Hand]]


def collect_garbage(
    keep: Annotated[int, typer.Option(min=0, help="Newest of each recipe, model or place that stay.")] = 10,
    older_than: Annotated[str, typer.Option(metavar="AGE", help="12h, 30d, 8w: what is younger stays.")] = "30d",
    runs: Annotated[Path, typer.Option(help="Directory of the local runs.")] = Path("runs"),
    checkpoint_uri: Annotated[
        str, typer.Option(help="Place of checkpoints, such as s3://bucket/prefix, to look through as well.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,
    json: JsonOption = False,
) -> None:
    """Remove old runs, cached results, checkpoints and rejected versions.

    Never what an alias names, what a champion replaced, runs/latest, or what is going on.
    """
    rule = Rule(keep, age(older_than))
    now = datetime.now(UTC)
    items: list[Item] = []
    failed: list[str] = []

    @contextmanager
    def said() -> Iterator[None]:
        """What does not answer or cannot be removed is said, and the rest goes on."""
        try:
            yield
        except GanvasError as error:
            failed.append(str(error))
            say_error(str(error))

    hands: dict[str, Hand] = {}
    for look in (partial(_runs, runs, now), partial(_checkpoints, checkpoint_uri, now), _versions):
        with said():
            found, made = look()
            items += list(found)  # all of a place, or none
            hands |= made
    planned = plan(items, rule, now)
    going: list[Item] = []
    for item in planned.going:
        with said():
            going.append(replace(item, size_bytes=hands[item.kind].measure(item)))
    gone: list[Item] = []
    for item in largest_first(going):
        with said():
            if not dry_run:
                hands[item.kind].remove(item)
            gone.append(item)
    if json:
        print_json(_document(planned, gone, failed, dry_run=dry_run))
    else:
        _print(planned, gone, dry_run=dry_run)
    if failed:
        raise typer.Exit(1)


def _runs(root: Path, now: datetime) -> Found:
    from pipelines.housekeeping.local import local_items, remove_local

    def remove(item: Item) -> None:
        remove_local(Path(item.name))

    return local_items(root, now), {"run": Hand(remove), "cache": Hand(remove)}


def _checkpoints(uri: str, now: datetime) -> Found:
    if not uri:
        return [], {}
    from components.storage import open_storage
    from pipelines.housekeeping.stored import checkpoint_items, remove_checkpoints

    storage = open_storage(uri)
    hand = Hand(remove=lambda item: remove_checkpoints(storage, item.name))
    return checkpoint_items(storage, now), {"checkpoints": hand}


def _versions() -> Found:
    from components.tracking import Tracking, is_absent, tracking_uri

    if is_absent(tracking_uri()):
        return [], {}
    from pipelines.housekeeping.stored import version_items

    store = Tracking()
    hand = Hand(
        remove=lambda item: store.remove_version(item.group, item.name),
        measure=lambda item: store.size_bytes(item.group, item.name),
    )
    return version_items(store), {"version": hand}


def _document(planned: Plan, gone: list[Item], failed: list[str], *, dry_run: bool) -> dict[str, object]:
    def told(item: Item) -> dict[str, object]:
        return {
            "kind": item.kind,
            "group": item.group,
            "name": item.name,
            "modified": item.modified.isoformat(),
            "size_bytes": item.size_bytes,
        }

    return {
        "dry_run": dry_run,
        "removed": [told(item) for item in gone],
        "freed_bytes": freed_bytes(gone),
        "kept": [told(kept.item) | {"reason": kept.reason} for kept in planned.staying],
        "errors": failed,
    }


def freed_bytes(gone: list[Item]) -> int:
    """How much room a removal made; every item of it was measured."""
    return sum(item.size_bytes or 0 for item in gone)


def _print(planned: Plan, gone: list[Item], *, dry_run: bool) -> None:
    for item in gone:
        name = f"{item.group} version {item.name}" if item.kind == "version" else item.name
        size = f"{(item.size_bytes or 0) / 1e6:.1f} MB"
        PEOPLE.print(f"{item.kind}: {escape(name)}, {size}, of {item.modified:%Y-%m-%d %H:%M}", soft_wrap=True)
    kinds = ", ".join(
        f"{sum(item.kind == kind for item in gone)} {kind}" for kind in KINDS if any(one.kind == kind for one in gone)
    )
    freed = freed_bytes(gone) / 1e6
    verb = "Would remove" if dry_run else "Removed"
    PEOPLE.print(f"{verb} {kinds or 'nothing'}: {freed:.1f} MB. {len(planned.staying)} stay.", soft_wrap=True)
