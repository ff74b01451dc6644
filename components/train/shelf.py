"""Where a training's checkpoints stand while it goes on: the newest, the best, and their durable copies."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from components.artifacts import read_document, write_bytes_atomically
from components.recipe import Recipe
from components.storage import Storage, open_storage
from components.train.checkpoint import CHECKPOINT_NAME, Checkpoint, is_whole, save_checkpoint
from components.train.durable import clear, durable_name, durable_uri, others_checkpoints, push_result
from components.train.observer import EVENTS_NAME, HISTORY_NAME
from components.train.processes import Processes
from models.errors import ArtifactError, StorageError
from models.steps.step import TrainingStep

STEPS_DIRECTORY = "steps"


def newest_checkpoint(output: Path) -> Path | None:
    """The newest whole checkpoint of an interrupted training; one that a power cut left altered is passed over."""
    return next((step for step in _steps(output / STEPS_DIRECTORY) if is_whole(step)), None)


def _steps(directory: Path) -> list[Path]:
    """Newest first."""
    return sorted(directory.glob("[0-9]*"), reverse=True)


def _score(step: Path) -> float | None:
    """What its document says; None where there is no score or no document that can be read."""
    try:
        return read_document(step, CHECKPOINT_NAME, Checkpoint).score
    except ArtifactError:
        return None


class Shelf:
    """Checkpoints under ``OUTPUT/steps/``, one directory for each, named by the images seen."""

    def __init__(
        self, output: Path, uri: str, recipe: Recipe, dataset_fingerprint: str, pipeline_run_id: str = ""
    ) -> None:
        self._directory = output / STEPS_DIRECTORY
        self._kept = recipe.training.checkpoints_kept
        self._uri, self._name = uri, durable_name(recipe, dataset_fingerprint, pipeline_run_id)
        self._storage: Storage | None = open_storage(durable_uri(uri, self._name)) if uri else None

    def newest(self) -> Path | None:
        """The newest whole checkpoint."""
        return newest_checkpoint(self._directory.parent)

    def best(self) -> Path | None:
        """The checkpoint with the lowest score among those that are there."""
        # By score first: to know that a checkpoint is whole, all its bytes are read.
        scored = sorted((score, step) for step in self._steps() if (score := _score(step)) is not None)
        return next((step for _, step in scored if is_whole(step)), None)

    def find(self, processes: Processes, *, others: bool = True) -> Path | None:
        """The first process's newest checkpoint, on every machine.

        Where it has none, the durable place's newest; where that has none, ``others`` lets another run's do.
        """
        if processes.is_first and self.newest() is None and self._storage is not None:
            names = [name for name in self._storage.directories() if name.isdigit()]
            own = [(name, self._storage) for name in sorted(names, reverse=True)]
            if not self._fetch_first_whole(own) and others:
                found = self._fetch_first_whole(others_checkpoints(self._uri, self._name))
                if found:  # the other machines fetch it from the own place, and its own run may clear the other
                    self._storage.push(self._directory / found, found)
        return self.newest_of_first(processes)

    def _fetch_first_whole(self, candidates: Iterable[tuple[str, Storage]]) -> str:
        """The first one that comes whole; empty if none does."""
        for name, place in candidates:
            try:
                place.fetch(name, self._directory / name)
            except (StorageError, OSError):
                if place is self._storage:
                    raise
                continue  # cleared by its own run meanwhile
            if is_whole(self._directory / name):
                self._restore_told(self._directory / name)
                return name
        return ""

    def newest_of_first(self, processes: Processes) -> Path | None:
        """The first process's newest checkpoint, on every machine.

        All go on from the same one: only the first process's machine has what it saved, the others fetch it.
        """
        newest = self.newest() if processes.is_first else None
        name = processes.first_ones(newest.name if newest else "")
        if not name:
            return None
        found = self._directory / name
        if processes.local_rank == 0 and self._storage is not None and not is_whole(found):
            self._storage.fetch(name, found)
        processes.wait_for_all()
        return found

    def _restore_told(self, step: Path) -> None:
        """What had been told when the checkpoint was saved, onto a disk that has none of it."""
        for name in (HISTORY_NAME, EVENTS_NAME):
            told = self._directory.parent / name
            if (step / name).is_file() and not told.exists():
                write_bytes_atomically(told, (step / name).read_bytes())  # half of it would never be made whole

    def put(self, step: TrainingStep, description: dict[str, Any]) -> None:
        """Save a checkpoint, copy it to the durable place, and remove what is neither new nor best."""
        directory = self._directory / f"{description['images_seen']:012d}"
        save_checkpoint(directory, step, **description)
        if self._storage is not None:
            for name in (HISTORY_NAME, EVENTS_NAME):
                if (self._directory.parent / name).is_file():
                    shutil.copyfile(self._directory.parent / name, directory / name)
            self._storage.push(directory, directory.name)
        olds = self._steps()[self._kept :]
        best = self.best() if olds else None
        for old in olds:
            if old != best:
                self._remove(old)

    def remove_after(self, images_seen: int) -> None:
        """Remove the checkpoints of later moments: they are of what went wrong."""
        for step in self._steps():
            if int(step.name) > images_seen:
                self._remove(step)

    def push_result(self, output: Path) -> None:
        """Put the finished checkpoint into the durable place, for whoever launched this training elsewhere."""
        if self._storage is not None:
            push_result(self._storage, output)

    def clear(self) -> None:
        """Remove them all, here and in the durable place."""
        for step in self._steps():
            self._remove(step)
        shutil.rmtree(self._directory, ignore_errors=True)
        if self._storage is not None:
            clear(self._storage, checkpoints_only=True)

    def _steps(self) -> list[Path]:
        return _steps(self._directory)

    def _remove(self, step: Path) -> None:
        # The document goes first, so that a half-removed one is not taken for whole.
        (step / CHECKPOINT_NAME).unlink(missing_ok=True)
        shutil.rmtree(step)
        if self._storage is not None:
            self._storage.remove(step.name)
