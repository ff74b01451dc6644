"""onnxruntime on this machine's CPU, the same bytes at every batch size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.cores import available_cores

BATCH_SIZE = 256


def open_session(path: Path, threads: int | None = None) -> Any:
    """An onnxruntime session on the CPU, of so many threads; as many as there are cores where None."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # builds for Linux report home too, unless told not to
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or available_cores()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run_in_batches(
    session: Any, rows: npt.NDArray[Any] | Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]
) -> list[npt.NDArray[Any]]:
    """The named outputs for all rows, computed in batches of a fixed size; the last one is filled up.

    Args:
        rows: the graph's single input, [N, ...], or its inputs by name.

    Returns:
        One array [N, ...] for every name.
    """
    inputs = rows if isinstance(rows, Mapping) else {session.get_inputs()[0].name: rows}
    parts = list(_batches(session, inputs, outputs))
    return [np.concatenate([part[index] for part in parts]) for index in range(len(outputs))]


def _batches(
    session: Any, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]
) -> Iterator[list[npt.NDArray[Any]]]:
    count = len(next(iter(inputs.values())))
    for start in range(0, count, BATCH_SIZE):
        batch = {name: np.ascontiguousarray(rows[start : start + BATCH_SIZE]) for name, rows in inputs.items()}
        size = min(BATCH_SIZE, count - start)
        if size < BATCH_SIZE:  # the last one is filled up: kernels may round otherwise at another size
            batch = {name: np.resize(rows, (BATCH_SIZE, *rows.shape[1:])) for name, rows in batch.items()}
        yield [output[:size] for output in session.run(list(outputs), batch)]
