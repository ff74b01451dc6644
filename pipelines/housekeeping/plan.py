"""What goes and what stays, and why: pure functions."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from models.errors import ConfigurationError

AGE = re.compile(r"([0-9]+)([hdw])")
HOURS = {"h": 1, "d": 24, "w": 168}


@dataclass(frozen=True)
class Item:
    """Something that takes room.

    Attributes:
        kind: run, cache, checkpoints or version.
        group: what it is counted among, such as its recipe's runs.
        name: by which it is removed.
        modified: when it was last written, with a time zone.
        size_bytes: that its removal frees; None where that is asked for only if it goes.
        protected: why it must stay whatever its age; empty where nothing speaks for it.
        counted: whether ``keep`` counts it; what only saves time goes by its age alone.
    """

    kind: str
    group: str
    name: str
    modified: datetime
    size_bytes: int | None
    protected: str = ""
    counted: bool = True


@dataclass(frozen=True)
class Rule:
    """An item goes if it is not among the ``keep`` newest of its group and was not written for ``older_than``."""

    keep: int
    older_than: timedelta


@dataclass(frozen=True)
class Kept:
    """An item that stays, and why."""

    item: Item
    reason: str


@dataclass(frozen=True)
class Plan:
    """What goes, largest first as far as sizes are known, and what stays."""

    going: tuple[Item, ...]
    staying: tuple[Kept, ...]


def age(text: str) -> timedelta:
    """The time of ``--older-than``, such as 12h, 30d or 8w.

    Raises:
        ConfigurationError: for another text.
    """
    match = AGE.fullmatch(text)
    if not match:
        raise ConfigurationError(f"--older-than {text} is no age.", "Write a number and h, d or w, such as 30d.")
    return timedelta(hours=int(match[1]) * HOURS[match[2]])


def plan(items: Iterable[Item], rule: Rule, now: datetime) -> Plan:
    """What goes by a rule.

    Items that must stay count among the newest as all others do.
    """
    groups: defaultdict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in items:
        groups[item.kind, item.group].append(item)
    going: list[Item] = []
    staying: list[Kept] = []
    for members in groups.values():
        newest_first = sorted(members, key=lambda item: (item.modified, item.name), reverse=True)
        for rank, item in enumerate(newest_first):
            reason = _reason(item, rank, rule, now)
            if reason:
                staying.append(Kept(item, reason))
            else:
                going.append(item)
    return Plan(tuple(largest_first(going)), tuple(staying))


def largest_first(items: Iterable[Item]) -> list[Item]:
    """By size, what is not measured last; where that is equal by name."""
    return sorted(items, key=lambda item: (-(item.size_bytes or 0), item.kind, item.group, item.name))


def _reason(item: Item, rank: int, rule: Rule, now: datetime) -> str:
    if item.protected:
        return item.protected
    if item.counted and rank < rule.keep:
        return f"among the {rule.keep} newest"
    if now - item.modified < rule.older_than:
        return "not old enough"
    return ""
