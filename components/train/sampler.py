"""The order in which training sees its data: a function of (seed, position) alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


class Sampler:
    """An endless sequence of rows: every epoch a new permutation of all of them.

    Position ``p`` is the p-th real sample since the start of training, so that going on from a checkpoint needs
    nothing but the number of images seen.
    """

    def __init__(self, rows: int, seed: int) -> None:
        if rows < 1:
            raise ValueError(f"rows must be at least 1, got {rows}")
        self._rows = rows
        self._seed = seed
        self._epoch = -1
        self._permutation: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def rows_at(self, position: int, count: int) -> npt.NDArray[np.int64]:
        """Rows ``position .. position + count - 1`` of the sequence, int64 [count]."""
        parts = []
        while count > 0:
            epoch, offset = divmod(position, self._rows)
            part = self._permutation_of(epoch)[offset : offset + count]
            parts.append(part)
            position += len(part)
            count -= len(part)
        return np.concatenate(parts)

    def _permutation_of(self, epoch: int) -> npt.NDArray[np.int64]:
        if epoch != self._epoch:
            generator = np.random.Generator(np.random.PCG64([self._seed, epoch]))
            # Sorting raw words instead of calling permutation(): numpy promises the stream, not its samplers.
            self._permutation = np.argsort(generator.bit_generator.random_raw(self._rows), kind="stable")
            self._epoch = epoch
        return self._permutation
