"""What a model can be asked, in arrays: it knows no transport."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.bundle.signature import Signature, Tensor
from serving.errors import MalformedRequest
from serving.predict.batcher import Batcher, BatchObserver
from serving.predict.model import LoadedModel

Array = npt.NDArray[Any]


class Predictor:
    """Answers requests for one version of one model.

    Args:
        model: its sessions.
        instances: runs at a time.
        max_batch: rows in one request and in one run.
        max_queue: runs waiting.
    """

    def __init__(self, model: LoadedModel, *, instances: int, max_batch: int, max_queue: int) -> None:
        self._model = model
        self._max_batch = max_batch
        self._batcher = Batcher(model.run, instances=instances, max_batch=max_batch, max_queue=max_queue)

    @property
    def signature(self) -> Signature:
        """What the bundle promises."""
        return self._model.signature

    @property
    def provider(self) -> str:
        """The execution provider that is active."""
        return self._model.provider

    @property
    def waiting(self) -> tuple[int, int]:
        """How many runs wait for an instance, and how many rows they have."""
        return self._batcher.waiting

    def observe(self, observer: BatchObserver) -> None:
        """Tell someone else of the runs from now on."""
        self._batcher.observer = observer

    async def infer(self, inputs: Mapping[str, Array], outputs: Sequence[str] = ()) -> dict[str, Array]:
        """Run the graph that takes exactly these inputs.

        Args:
            inputs: by name, each [N, ...] with one N of at most ``max_batch``.
            outputs: names to give, in this order; all of the graph's if empty.

        Raises:
            MalformedRequest: if the inputs or outputs are not those of a graph.
            Overloaded: if too many requests are waiting.
        """
        graph = self._graph_of(inputs)
        specification = self.signature.graphs[graph]
        for tensor in specification.inputs:
            self._check(tensor, inputs[tensor.name])
        rows = {len(value) for value in inputs.values()}
        if len(rows) > 1:
            raise MalformedRequest(f"the inputs of one request have one batch size, got {sorted(rows)}.")
        if not 1 <= max(rows) <= self._max_batch:
            raise MalformedRequest(f"the batch size must be 1 .. {self._max_batch}, got {max(rows)}.")
        names = [tensor.name for tensor in specification.outputs]
        for name in outputs:
            if name not in names:
                raise MalformedRequest(f"{graph} has no output {name!r}; it gives {', '.join(names)}.")
        return await self._batcher.submit(graph, inputs, tuple(outputs) or names)

    async def sample(self, seed: int, count: int, label: int | None = None) -> Array:
        """Samples 0 .. count-1 of a seed: ``pixels`` uint8 [N, H, W, C], or ``sample`` float32 [N, D].

        Raises:
            MalformedRequest: if the model is not conditional and a label is given, or it is out of range.
            Overloaded: if too many requests are waiting.
        """
        if label is not None:
            self._check_label(np.array([label]))
        starts = range(0, count, self._max_batch)
        self._batcher.check_room(len(starts))  # before the latents are made for nobody
        inputs = await asyncio.to_thread(self._model.sampler_inputs, seed, count, label)
        output = "pixels" if self.signature.sample.kind == "image" else "sample"
        parts = [{name: value[start : start + self._max_batch] for name, value in inputs.items()} for start in starts]
        results = await self._batcher.submit_all(self.signature.sampler, parts, [output])
        return np.concatenate([result[output] for result in results])

    def close(self) -> None:
        """Let go of the threads; no request may follow."""
        self._batcher.close()

    def _graph_of(self, inputs: Mapping[str, Array]) -> str:
        graphs = {name: {tensor.name for tensor in graph.inputs} for name, graph in self.signature.graphs.items()}
        for name, expected in graphs.items():
            if expected == set(inputs):
                return name
        ways = " or ".join(f"{', '.join(sorted(expected))} ({name})" for name, expected in graphs.items())
        raise MalformedRequest(f"no graph takes {', '.join(sorted(inputs))}; this model takes {ways}.")

    def _check(self, tensor: Tensor, value: Array) -> None:
        if value.dtype != tensor.dtype:
            raise MalformedRequest(f"input {tensor.name!r} must be {tensor.dtype}, got {value.dtype}.")
        if value.ndim != len(tensor.shape) or value.shape[1:] != tensor.shape[1:]:
            raise MalformedRequest(
                f"input {tensor.name!r} must have shape {['N', *tensor.shape[1:]]}, got {list(value.shape)}."
            )
        if tensor.name == "label":
            self._check_label(value)

    def _check_label(self, label: Array) -> None:
        if not self.signature.conditional:
            raise MalformedRequest("this model is unconditional: it takes no label.")
        classes = len(self.signature.class_names)
        if label.size and not (label.min() >= 0 and label.max() < classes):
            raise MalformedRequest(f"a label must be 0 .. {classes - 1}.")
