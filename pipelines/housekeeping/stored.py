"""Checkpoints in a durable place, and rejected versions in the registry."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from components.storage import Storage
from components.tracking import PREVIOUS_CHAMPION_TAG, VERDICT_TAG, Tracking
from models.errors import StorageError
from pipelines.housekeeping.plan import Item

GOING_ON = timedelta(days=1)
"""A training writes checkpoints far more often: one that wrote none for so long has ended, or nobody waits for it."""


def checkpoint_items(storage: Storage, now: datetime) -> Iterator[Item]:
    """The trainings under a checkpoint URI; each is a directory that is named by what the training follows from.

    Args:
        storage: the place.
        now: with a time zone.
    """
    for found in storage.contents():
        protected = "going on" if now - found.modified < GOING_ON else ""
        yield Item("checkpoints", "", found.name, found.modified, found.size_bytes, protected)


def remove_checkpoints(storage: Storage, name: str) -> None:
    """Remove a training's checkpoints.

    Raises:
        StorageError: if some are left.
    """
    storage.remove(name)
    if any(left.name == name for left in storage.contents()):
        raise StorageError(f"The checkpoints {name} cannot be removed.", "Check who may write there.")


def version_items(store: Tracking) -> Iterator[Item]:
    """The rejected versions of every model: those that the gate said no to.

    One that an alias names stays, whoever gave it; so does one that a later champion would be rolled back to. Their
    sizes are not asked for: that takes a store several questions a version, and only of what goes it matters.
    """
    for model_name in store.model_names():
        versions = store.versions(model_name)
        replaced = {version.tags.get(PREVIOUS_CHAMPION_TAG, "") for version in versions}
        for version in versions:
            if version.tags.get(VERDICT_TAG) != "failed":
                continue
            protected = ""
            if version.aliases:
                protected = f"its {' and '.join(version.aliases)}"
            elif version.version in replaced:
                protected = "a champion that was replaced"
            elif others := store.sharing(model_name, version.version):
                protected = f"{others[0]} loads its artifacts"
            yield Item("version", model_name, version.version, version.created, None, protected)
