"""Rows of units, read from their files: mapping these into memory would count as memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.prepare.units import SAMPLES_NAME
from models.errors import ArtifactError

_OPEN_FILES = 128


class UnitRows:
    """Reads samples by where they lie."""

    def __init__(self, units: Sequence[Path], sample_shape: Sequence[int], dtype: str) -> None:
        self._units, self._shape, self._dtype = units, tuple(sample_shape), np.dtype(dtype)
        self.row_bytes = int(np.prod(self._shape)) * self._dtype.itemsize
        self._files: OrderedDict[int, FileIO] = OrderedDict()

    def read(self, records: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The samples of ``RECORD`` [n] (content_order.py), in their order: [n, *sample_shape].

        Raises:
            ArtifactError: if a unit is cut off.
        """
        values = np.empty((len(records), *self._shape), dtype=self._dtype)
        flat = values.reshape(len(records), -1).view(np.uint8)
        # Unit after unit, so that files are opened as rarely as can be.
        for place in np.lexsort((records["row"], records["unit"])):
            stream = self._file(int(records["unit"][place]))
            stream.seek(int(records["row"][place]) * self.row_bytes)
            if stream.readinto(flat[place].data) != self.row_bytes:
                raise ArtifactError(f"{stream.name} is shorter than its unit says.", "Prepare the data again.")
        return values

    def _file(self, unit: int) -> FileIO:
        if unit in self._files:
            self._files.move_to_end(unit)
            return self._files[unit]
        if len(self._files) == _OPEN_FILES:
            self._files.popitem(last=False)[1].close()
        self._files[unit] = FileIO(self._units[unit] / SAMPLES_NAME)
        return self._files[unit]

    def close(self) -> None:
        """Let go of the files."""
        for stream in self._files.values():
            stream.close()
