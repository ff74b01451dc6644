"""What a model can be asked, in arrays: it knows no transport."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from serving.bundle.signature import Signature, Tensor
from serving.errors import MalformedRequest
from serving.predict.batcher import Batcher, BatchObserver, Then
from serving.predict.model import LoadedModel
from serving.predict.space import Latents, truncated

Array = npt.NDArray[Any]
T = TypeVar("T")


_MOST_PARTS = 16
"""Of one request, unless ``max_batch`` makes more; no more than may wait."""
_FEW_COMPONENTS = 1 << 10
"""Of latents: making these takes less than the way to a thread."""


def _as_they_are(samples: Any) -> Any:
    return samples


class Predictor:
    """Answers requests for one version of one model.

    Args:
        model: its sessions.
        instances: runs at a time.
        max_batch: rows in one request for inference, and in one run.
        max_queue: runs waiting.
    """

    def __init__(self, model: LoadedModel, *, instances: int, max_batch: int, max_queue: int) -> None:
        self._model = model
        self._max_batch = max_batch
        self._most_parts = min(_MOST_PARTS, max_queue)
        self._batcher = Batcher(
            model.run,
            instances=instances,
            good_rows=model.good_rows,
            max_queue=max_queue,
            is_short=model.is_short,
        )
        graphs = model.signature.graphs
        self._graphs = {frozenset(tensor.name for tensor in graph.inputs): name for name, graph in graphs.items()}
        self._outputs = {name: [tensor.name for tensor in graph.outputs] for name, graph in graphs.items()}

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
        """As :meth:`start`, and the outputs by name."""
        results: dict[str, Array] = await self.start(inputs, outputs)
        return results

    def start(
        self, inputs: Mapping[str, Array], outputs: Sequence[str] = (), then: Then | None = None
    ) -> asyncio.Future[Any]:
        """Run the graph that takes exactly these inputs.

        Args:
            inputs: by name, each [N, ...] with one N of at most ``max_batch``.
            outputs: names to give, in this order; all of the graph's if empty.
            then: what is to be made of the outputs, where they are computed.

        Returns:
            The outputs by name, or what ``then`` made of them; cancelled, it is not computed.

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
        names = self._outputs[graph]
        for name in outputs:
            if name not in names:
                raise MalformedRequest(f"{graph} has no output {name!r}; it gives {', '.join(names)}.")
        names, count = list(outputs) or names, max(rows)
        starts = self._parts(graph, count)
        if len(starts) == 1:
            return self._batcher.enqueue(graph, inputs, names, then)
        self._batcher.check_room(len(starts))
        return asyncio.ensure_future(self._in_parts(graph, inputs, starts, names, then))

    def _parts(self, graph: str, count: int) -> range:
        """Where parts begin that are good to run: between them others get their turn, and who leaves is noticed."""
        return range(0, count, min(self._max_batch, max(self._model.good_rows(graph), -(-count // self._most_parts))))

    async def _in_parts(
        self, graph: str, inputs: Mapping[str, Array], starts: range, names: Sequence[str], then: Then | None
    ) -> Any:
        parts = [{name: value[at : at + starts.step] for name, value in inputs.items()} for at in starts]
        found = await self._batcher.submit_all(graph, parts, names)
        results = {name: np.concatenate([part[name] for part in found]) for name in names}
        return results if then is None else await asyncio.to_thread(then, results)

    async def sample(
        self,
        seed: int,
        count: int,
        label: int | None = None,
        then: Callable[[Array], T] = _as_they_are,
        *,
        truncation: float = 1.0,
    ) -> T:
        """Samples 0 .. count-1 of a seed: ``pixels`` uint8 [N, H, W, C], or ``sample`` float32 [N, D].

        Args:
            then: what is to be made of them, in a thread.
            truncation: what the latents are multiplied by, in (0, 1].

        Raises:
            MalformedRequest: if the model is not conditional and a label is given, or it is out of range.
            Overloaded: if too many requests are waiting.
        """
        if label is not None:
            self._check_label(np.array([label]))
        self._batcher.check_room(
            len(self._parts(self.signature.sampler, count))
        )  # before the latents are made for nobody
        if self._batcher.is_busy:
            await asyncio.sleep(0)  # it waits anyway; who left right after asking is noticed in this turn
        if count * self.signature.latent.size <= _FEW_COMPONENTS:
            inputs = self._model.sampler_inputs(seed, count, label)
        else:
            inputs = await asyncio.to_thread(self._model.sampler_inputs, seed, count, label)
        if truncation != 1.0:
            inputs["latent"] = truncated(inputs["latent"], truncation)
        return await self._run_sampler(inputs, then)

    async def decode(self, latents: Latents, label: int = 0, then: Callable[[Array], T] = _as_they_are) -> T:
        """Samples of given latents float32 [N, Z]; in a conditional model all of one class.

        Args:
            then: what is to be made of the ``pixels`` uint8 [N, H, W, C], or of the ``sample`` float32 [N, D].

        Raises:
            Overloaded: if too many requests are waiting.
        """
        inputs: dict[str, Array] = {"latent": latents}
        if self.signature.conditional:
            inputs["label"] = np.full(len(latents), label, dtype=np.int64)
        return await self._run_sampler(inputs, then)

    async def encode(self, pixels: Array) -> dict[str, Array]:
        """What the encoder makes of pictures uint8 [N, H, W, C]: ``mean`` [N, Z], and a VAE's ``log_variance``.

        Raises:
            MalformedRequest: if the model has no encoder, or not one of pictures.
            Overloaded: if too many requests are waiting.
        """
        self.check_encodes()
        return await self.infer({"pixels": pixels})

    def check_encodes(self) -> None:
        """Whether pictures can be encoded, before one is decoded.

        Raises:
            MalformedRequest: if not.
        """
        encoder = self.signature.graphs.get("encoder")
        if encoder is None:
            raise MalformedRequest(f"this model is a {self.signature.family.upper()}: it has no encoder.")
        if {tensor.name for tensor in encoder.inputs} != {"pixels"}:
            raise MalformedRequest("this model's encoder takes no pictures.", "Use the infer route.")

    async def _run_sampler(self, inputs: Mapping[str, Array], then: Callable[[Array], T]) -> T:
        """Any number of rows, as many runs as it takes."""
        sampler = self.signature.sampler
        starts = self._parts(sampler, len(inputs["latent"]))
        output = "pixels" if self.signature.sample.kind == "image" else "sample"
        if len(starts) == 1:
            one: T = await self._batcher.enqueue(sampler, inputs, [output], lambda results: then(results[output]))
            return one
        several: T = await self._in_parts(sampler, inputs, starts, [output], lambda results: then(results[output]))
        return several

    def close(self) -> None:
        """Let go of the threads; no request may follow."""
        self._batcher.close()

    def _graph_of(self, inputs: Mapping[str, Array]) -> str:
        if name := self._graphs.get(frozenset(inputs)):
            return name
        ways = " or ".join(f"{', '.join(sorted(expected))} ({name})" for expected, name in self._graphs.items())
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
