"""What training sees of a Dataset: batches as a function of (seed, images seen) alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from components.prepare.dataset import read_manifest, read_split
from components.prepare.manifest import SplitName
from components.recipe import Recipe
from components.train.processes import Processes
from components.train.sampler import Sampler
from models.config import is_conditional
from models.steps.batch import Batch

RESIDENT_SHARE = 0.5
"""Share of an accelerator's free memory that the data may take."""


class TrainingData:
    """Splits memory-mapped on a CPU; resident on an accelerator as they are stored, where they fit."""

    def __init__(self, dataset: Path, recipe: Recipe, processes: Processes) -> None:
        self.manifest = read_manifest(dataset)
        self.value_range = (0.0, 1.0)
        self._processes = processes
        self._batch_size = recipe.training.batch_size
        self._conditional = is_conditional(recipe.model)
        self._splits = {split: read_split(dataset, self.manifest, split) for split in ("train", "validation")}
        self._sampler: tuple[int, Sampler] | None = None
        self._resident: Tensor | None = None
        rows = self._splits["train"][0]
        if processes.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(processes.device)
            if rows.nbytes < RESIDENT_SHARE * free:
                self._resident = torch.from_numpy(np.ascontiguousarray(rows)).to(processes.device)

    def rows(self, split: SplitName) -> npt.NDArray[Any]:
        """A split's samples as they are stored: uint8 [N, C, H, W] or float32 [N, D]."""
        return self._splits[split][0]

    def first_rows(self, split: SplitName, count: int) -> Batch:
        """The first rows of a split as the family takes them."""
        samples, labels = self._splits[split]
        return Batch(self._as_samples(torch.from_numpy(np.array(samples[:count]))), self._as_labels(labels[:count]))

    def batches(self, images_seen: int, per_update: int, seed: int) -> list[Batch]:
        """This process's share of the batches of one update.

        Args:
            images_seen: real samples shown before, by all processes.
            per_update: real samples of the update, over all processes and batches.
            seed: of the order.
        """
        if self._sampler is None or self._sampler[0] != seed:
            self._sampler = (seed, Sampler(len(self.rows("train")), seed))
        rows = self._sampler[1].rows_at(images_seen, per_update)
        mine = self._batch_size // self._processes.count
        start = self._processes.rank * mine
        return [
            self._batch(rows[batch + start : batch + start + mine]) for batch in range(0, per_update, self._batch_size)
        ]

    def _batch(self, rows: npt.NDArray[np.int64]) -> Batch:
        samples, labels = self._splits["train"]
        if self._resident is not None:
            picked = self._resident[torch.from_numpy(rows).to(self._processes.device, non_blocking=True)]
        else:
            picked = torch.from_numpy(np.require(samples[rows], requirements=["C", "W"]))
        return Batch(self._as_samples(picked), self._as_labels(labels[rows]))

    def _as_samples(self, samples: Tensor) -> Tensor:
        """Pictures in the family's range of values; vectors as they are."""
        samples = samples.to(self._processes.device, non_blocking=True)
        if samples.dim() == 4:
            samples = samples.contiguous(memory_format=torch.channels_last)
        if samples.dtype != torch.uint8:
            return samples
        low, high = self.value_range
        return samples.to(torch.float32) * ((high - low) / 255.0) + low

    def _as_labels(self, labels: npt.NDArray[np.int64]) -> Tensor | None:
        if not self._conditional:
            return None
        return torch.from_numpy(np.array(labels, dtype=np.int64)).to(self._processes.device)
