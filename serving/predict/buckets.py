"""Batches of a few fixed sizes in buffers that stay where they are, as a GPU wants them.

A batch is padded with zeros to the next power of two. Each size has its own buffers on the device, so that nothing is
allocated in a run, kernels are chosen once a size, and a CUDA graph, which remembers addresses, can be replayed.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

Array = npt.NDArray[Any]
_DTYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(uint8)": np.uint8}
_NO_GRAPH = "-1"


def bucket_sizes(max_batch: int) -> list[int]:
    """1, 2, 4, ... up to ``max_batch`` and that itself."""
    sizes = [1]
    while sizes[-1] < max_batch:
        sizes.append(min(2 * sizes[-1], max_batch))
    return sizes


class _Bucket:
    """The buffers of one batch size: all inputs, all outputs."""

    def __init__(self, session: onnxruntime.InferenceSession, device: str, rows: int) -> None:
        self.rows = rows
        self.inputs: dict[str, Any] = {}
        self.outputs: dict[str, Any] = {}
        self.binding = session.io_binding()
        for node in session.get_inputs():
            shape = [rows, *node.shape[1:]]
            value = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(shape, dtype=_DTYPES[node.type]), device, 0)
            self.inputs[node.name] = value
            self.binding.bind_ortvalue_input(node.name, value)
        # Shapes of outputs may be symbolic: one run without buffers tells them.
        feeds = {name: value.numpy() for name, value in self.inputs.items()}
        names = [node.name for node in session.get_outputs()]
        for name, example in zip(names, session.run(names, feeds, _options(_NO_GRAPH)), strict=True):
            value = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros_like(example), device, 0)
            self.outputs[name] = value
            self.binding.bind_ortvalue_output(name, value)


class BucketedSession:
    """A session whose runs take turns and have one of a few sizes.

    Args:
        session: with one named symbolic axis, the batch, first in every tensor.
        device: ``cuda`` or ``cpu``, where the buffers lie.
        max_batch: rows of the largest one; more are refused.
        graphs: record a CUDA graph for each size.
    """

    def __init__(
        self, session: onnxruntime.InferenceSession, device: str, max_batch: int, *, graphs: bool = False
    ) -> None:
        self._session = session
        self._turn = threading.Lock()
        self._graphs = graphs
        self._buckets = [_Bucket(session, device, rows) for rows in bucket_sizes(max_batch)]
        for number in range(len(self._buckets)):  # cuDNN chooses, and graphs are recorded, before anyone waits
            for _ in range(2 if graphs else 1):
                self._run_bucket(number)

    def get_providers(self) -> list[str]:
        """The active one first."""
        providers: list[str] = self._session.get_providers()
        return providers

    def get_inputs(self) -> Any:
        """As of the session."""
        return self._session.get_inputs()

    def get_outputs(self) -> Any:
        """As of the session."""
        return self._session.get_outputs()

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
        """Outputs by name, of as many rows as the inputs have.

        Raises:
            ValueError: if these are more than the largest bucket has.
        """
        rows = len(next(iter(inputs.values())))
        number = next((index for index, bucket in enumerate(self._buckets) if bucket.rows >= rows), None)
        if number is None:
            raise ValueError(f"{rows} rows exceed the largest batch of {self._buckets[-1].rows}")
        bucket = self._buckets[number]
        with self._turn:
            for name, value in inputs.items():
                padded = np.zeros((bucket.rows, *value.shape[1:]), dtype=value.dtype)
                padded[:rows] = value
                bucket.inputs[name].update_inplace(padded)
            self._run_bucket(number)
            # Copies, also where the buffer is the CPU's own: the next run writes into it.
            return [np.array(bucket.outputs[name].numpy()[:rows]) for name in outputs]

    def _run_bucket(self, number: int) -> None:
        graph = str(number + 1) if self._graphs else _NO_GRAPH
        self._session.run_with_iobinding(self._buckets[number].binding, _options(graph))


def _options(graph: str) -> onnxruntime.RunOptions:
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("gpu_graph_id", graph)
    return options
