"""A bundle's graphs as onnxruntime sessions, warmed up and checked against the golden tensor."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.bundle.reader import Bundle
from serving.bundle.signature import Signature
from serving.errors import BundleError
from serving.predict.buckets import bucket_sizes
from serving.predict.latents import standard_normal_latents
from serving.predict.sessions import Execution, Session, first_line, open_session, zeros

Array = npt.NDArray[Any]

_ONNX_TYPES = {"float32": "tensor(float)", "int64": "tensor(int64)", "uint8": "tensor(uint8)"}


_ON_THE_CPU = Execution()
SHORT_SECONDS = 1e-4
"""A run below this costs less than the way to a thread and back."""
LONG_SECONDS = 0.02
"""Runs are made longer than this only where it is worth it: nobody can end one, and others wait for it."""
_TIMED_RUNS = 3
_WORTH = 1.1
"""How much faster by the row a larger run has to be."""


class LoadedModel:
    """Graphs that can be run from several threads at a time."""

    def __init__(self, signature: Signature, sessions: Mapping[str, Session]) -> None:
        self.signature = signature
        self._sessions = dict(sessions)
        self._short_rows = dict.fromkeys(sessions, 0)
        self._good_rows = dict.fromkeys(sessions, 1)

    def is_short(self, graph: str, rows: int) -> bool:
        """Whether a run of so many rows was seen to take less than ``SHORT_SECONDS``."""
        return rows <= self._short_rows[graph]

    def good_rows(self, graph: str) -> int:
        """Rows that are best run together: more are hardly faster by the row, or take long."""
        return self._good_rows[graph]

    def time_runs(self, name: str, max_batch: int) -> None:
        """See how long runs of 1, 2, 4, ... rows take, the shortest of a few each."""
        best = float("inf")
        for rows in bucket_sizes(max_batch):
            seconds = self._seconds_of_a_run(name, rows)
            if seconds <= SHORT_SECONDS:
                self._short_rows[name] = rows
            if seconds / rows * _WORTH < best:
                best = seconds / rows
                self._good_rows[name] = rows
            if seconds > LONG_SECONDS:
                return

    def _seconds_of_a_run(self, name: str, rows: int) -> float:
        graph = self.signature.graphs[name]
        outputs = [tensor.name for tensor in graph.outputs]
        inputs = {tensor.name: zeros(tensor.shape, tensor.dtype, rows) for tensor in graph.inputs}
        seconds = []
        for _ in range(_TIMED_RUNS):
            started = time.perf_counter()
            _run(self, name, inputs, outputs)
            seconds.append(time.perf_counter() - started)
        return min(seconds)

    @property
    def provider(self) -> str:
        """The execution provider that is active."""
        return str(self._sessions[self.signature.sampler].get_providers()[0])

    def run(self, graph: str, inputs: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        """Run one graph; the caller has checked names, types and shapes."""
        return self._sessions[graph].run(outputs, inputs)

    def sampler_inputs(self, seed: int, count: int, label: int | None) -> dict[str, Array]:
        """Inputs of the sampler for indices 0 .. count-1 of a seed.

        Without a label, index i of a conditional model is of class i modulo the number of classes, so that
        it, too, follows from (seed, index).
        """
        inputs: dict[str, Array] = {"latent": standard_normal_latents(seed, count, self.signature.latent.size)}
        if self.signature.conditional:
            classes = len(self.signature.class_names)
            indices = np.arange(count, dtype=np.int64)
            inputs["label"] = indices % classes if label is None else np.full(count, label, dtype=np.int64)
        return inputs


def load_model(bundle: Bundle, execution: Execution = _ON_THE_CPU) -> LoadedModel:
    """Make sessions, warm them up and compare with the golden tensor.

    Raises:
        BundleError: if a graph does not load, is not what its signature says, or computes something else.
    """
    sessions = {name: open_session(name, content, execution) for name, content in bundle.graphs.items()}
    for name, session in sessions.items():
        _check_tensors(name, session, bundle.signature)
    model = LoadedModel(bundle.signature, sessions)
    for name in sessions:
        _warm_up(model, name)
        model.time_runs(name, execution.max_batch)
    _check_golden(model, bundle.golden, execution.max_batch)
    return model


def _check_tensors(name: str, session: Session, signature: Signature) -> None:
    for kind, promised, found in (
        ("input", signature.graphs[name].inputs, session.get_inputs()),
        ("output", signature.graphs[name].outputs, session.get_outputs()),
    ):
        types = {node.name: node.type for node in found}
        if kind == "input" and set(types) != {tensor.name for tensor in promised}:
            raise BundleError(f"{name} takes {sorted(types)}, which is not what its signature says.")
        for tensor in promised:
            if types.get(tensor.name) != _ONNX_TYPES[tensor.dtype]:
                raise BundleError(f"{name} has no {kind} {tensor.name} of type {tensor.dtype}.")


def _warm_up(model: LoadedModel, name: str) -> None:
    graph = model.signature.graphs[name]
    inputs = {tensor.name: zeros(tensor.shape, tensor.dtype, 1) for tensor in graph.inputs}
    results = _run(model, name, inputs, [tensor.name for tensor in graph.outputs])
    for tensor, result in zip(graph.outputs, results, strict=True):
        if result.shape != (1, *tensor.shape[1:]):
            raise BundleError(f"{name} gives {tensor.name} {list(result.shape)} for one row, not [1, ...] as signed.")


def _check_golden(model: LoadedModel, golden: npt.NDArray[np.float32], max_batch: int) -> None:
    signature = model.signature
    inputs = model.sampler_inputs(signature.golden.seed, signature.golden.count, None)
    parts = []
    for start in range(0, signature.golden.count, max_batch):  # a GPU's session takes no more rows at a time
        rows = {name: value[start : start + max_batch] for name, value in inputs.items()}
        parts += _run(model, signature.sampler, rows, [signature.golden_output])
    found = np.concatenate(parts)
    if found.shape != golden.shape:
        raise BundleError(f"golden check: got {list(found.shape)}, expected {list(golden.shape)}.")
    if not np.isfinite(found).all():
        raise BundleError("golden check: the model gives values that are not finite.", "Keep the version before it.")
    error = float(np.abs(found - golden).max())
    if error > signature.golden.tolerance:
        raise BundleError(
            f"golden check: differs by {error:.3g} from the exporting machine, "
            f"allowed {signature.golden.tolerance:.3g}.",
            "The file is intact: compare onnxruntime's version and provider on both machines.",
        )
    bounds = signature.sample.value_range
    if bounds is not None and (found.min() < bounds[0] - 1e-3 or found.max() > bounds[1] + 1e-3):
        raise BundleError(f"golden check: values in {found.min():.3g} .. {found.max():.3g}, outside {list(bounds)}.")


def _run(model: LoadedModel, name: str, inputs: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
    try:
        return model.run(name, inputs, outputs)
    except Exception as error:  # see open_session
        raise BundleError(f"onnxruntime cannot run {name}: {first_line(error)}") from error
