"""Recurring runs: a version of the graph, run again by the clock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from models.errors import ConfigurationError, GanvasError
from pipelines.remote.server import Server, identified
from pipelines.remote.uploads import Version

UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
INTERVAL = re.compile(r"([1-9][0-9]*)([mhdw])")
CRON_FIELD = re.compile(r"[0-9A-Za-z*/,?-]+")
PAGE = 100


@dataclass(frozen=True)
class Clock:
    """When: a cron expression with seconds, or an interval; one of them."""

    cron: str = ""
    interval_seconds: int = 0


@dataclass(frozen=True)
class Schedule:
    """A recurring run as the server has it."""

    schedule_id: str
    name: str
    enabled: bool
    when: str
    max_concurrency: int


def clock(cron: str, every: str) -> Clock:
    """The time of ``--cron`` or ``--every``.

    Args:
        cron: five fields (minute, hour, day, month, weekday), or six with seconds before them; empty for none.
        every: a number and m, h, d or w, such as 6h; empty for none.

    Raises:
        ConfigurationError: unless exactly one is given and well-formed.
    """
    if bool(cron) == bool(every):
        raise ConfigurationError("A schedule needs --cron or --every.", "Write --cron '0 3 * * *' or --every 6h.")
    if every:
        match = INTERVAL.fullmatch(every)
        if not match:
            raise ConfigurationError(f"--every {every} is no interval.", "Write a number and m, h, d or w, such as 6h.")
        return Clock(interval_seconds=int(match[1]) * UNITS[match[2]])
    fields = cron.split()
    if len(fields) not in (5, 6) or not all(CRON_FIELD.fullmatch(field) for field in fields):
        raise ConfigurationError(
            f"--cron {cron!r} is no cron expression.", "Write minute, hour, day, month, weekday: '0 3 * * *'."
        )
    # The server's expressions begin with seconds.
    return Clock(cron=" ".join(fields if len(fields) == 6 else ["0", *fields]))


def create_schedule(
    server: Server,
    version: Version,
    experiment: str,
    name: str,
    when: Clock,
    arguments: Mapping[str, Any],
    *,
    max_concurrency: int,
    enabled: bool,
    service_account: str,
) -> str:
    """A new recurring run; its id. What it missed while it was off, or busy, is not caught up on.

    Raises:
        ConfigurationError: if one of that name is there: two of them would both run.
        GanvasError: if the server does not answer or refuses.
    """
    if any(known.name == name for known in list_schedules(server)):
        raise ConfigurationError(
            f"A schedule named {name} is there already.", f"Choose another --name, or ganvas schedule delete {name}."
        )
    with server.explained():
        found = server.client.create_experiment(experiment, namespace=server.namespace)
        made = server.client.create_recurring_run(
            found.experiment_id,
            name,
            interval_second=when.interval_seconds or None,
            cron_expression=when.cron or None,
            max_concurrency=max_concurrency,
            no_catchup=True,
            params=dict(arguments),
            pipeline_id=version.pipeline_id,
            version_id=version.version_id,
            enabled=enabled,
            service_account=service_account or None,
        )
        return identified(made.recurring_run_id)


def list_schedules(server: Server) -> list[Schedule]:
    """Every recurring run, whoever made it.

    Raises:
        GanvasError: if the server does not answer or refuses.
    """
    schedules: list[Schedule] = []
    token = ""
    with server.explained():
        while True:
            page = server.client.list_recurring_runs(page_token=token, page_size=PAGE, namespace=server.namespace)
            schedules += [_schedule(found) for found in page.recurring_runs or []]
            token = page.next_page_token or ""
            if not token:
                return schedules


def change_schedule(server: Server, name: str, change: Literal["enable", "disable", "delete"]) -> Schedule:
    """Enable, disable or delete a recurring run by its name or id; what it was before.

    Raises:
        GanvasError: if there is none, or several of that name, or the server refuses.
    """
    known = list_schedules(server)
    found = [schedule for schedule in known if name in (schedule.schedule_id, schedule.name)]
    if not found:
        names = ", ".join(schedule.name for schedule in known) or "none"
        raise GanvasError(f"There is no schedule {name}.", f"There are: {names}.")
    if len(found) > 1:
        ids = ", ".join(schedule.schedule_id for schedule in found)
        raise GanvasError(f"{len(found)} schedules are named {name}.", f"Name one by its id: {ids}.")
    with server.explained():
        actions = {
            "enable": server.client.enable_recurring_run,
            "disable": server.client.disable_recurring_run,
            "delete": server.client.delete_recurring_run,
        }
        actions[change](found[0].schedule_id)
    return found[0]


def _schedule(found: Any) -> Schedule:
    trigger = found.trigger
    when = ""
    if trigger and trigger.cron_schedule and trigger.cron_schedule.cron:
        when = str(trigger.cron_schedule.cron)
    elif trigger and trigger.periodic_schedule:
        when = f"every {int(trigger.periodic_schedule.interval_second)} s"
    enabled = str(found.status or "") == "ENABLED" or (not found.status and str(found.mode or "") == "ENABLE")
    return Schedule(
        str(found.recurring_run_id), str(found.display_name), enabled, when, int(found.max_concurrency or 1)
    )
