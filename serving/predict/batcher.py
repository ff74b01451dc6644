"""Greedy batching: a free instance runs whatever is queued for one graph; there is no waiting window."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from serving.errors import Overloaded

Array = npt.NDArray[Any]
Run = Callable[[str, Mapping[str, Array], Sequence[str]], list[Array]]


class BatchObserver(Protocol):
    """Is told what runs; all times are of ``time.perf_counter``. Called in the event loop's thread."""

    def ran(self, rows: int, seconds: float) -> None:
        """One run ended, of that many rows."""

    def answered(self, queued_at: float, started_at: float, ended_at: float) -> None:
        """One part of a request waited, and ran; called in the task that submitted it."""


class Unobserved:
    """Nobody is told."""

    def ran(self, rows: int, seconds: float) -> None:
        """Nothing."""

    def answered(self, queued_at: float, started_at: float, ended_at: float) -> None:
        """Nothing."""


@dataclass(eq=False)
class _Item:
    graph: str
    inputs: Mapping[str, Array]
    outputs: Sequence[str]
    rows: int
    done: asyncio.Future[dict[str, Array]]
    queued_at: float
    started_at: float = 0.0
    ended_at: float = 0.0


class Batcher:
    """Runs requests off the event loop, several rows together.

    All methods belong to the event loop's thread; only ``run`` is called in the pool's.

    Args:
        run: ``(graph, inputs, outputs) -> arrays``, callable from several threads.
        instances: runs at a time.
        max_batch: rows in one run.
        max_queue: items waiting, each of at most ``max_batch`` rows.
        observer: is told of every run; it may be replaced at any time.
    """

    def __init__(
        self, run: Run, *, instances: int, max_batch: int, max_queue: int, observer: BatchObserver | None = None
    ) -> None:
        self._run = run
        self._pool = ThreadPoolExecutor(instances, thread_name_prefix="ganvas-instance")
        self._free = instances
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._queue: deque[_Item] = deque()
        self.observer: BatchObserver = observer or Unobserved()

    @property
    def waiting(self) -> tuple[int, int]:
        """How many items wait for an instance, and how many rows they have."""
        return len(self._queue), sum(item.rows for item in self._queue)

    async def submit(self, graph: str, inputs: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """Rows of one request; at most ``max_batch`` of them.

        Raises:
            Overloaded: if too many requests are waiting already.
        """
        (results,) = await self.submit_all(graph, [inputs], outputs)
        return results

    async def submit_all(
        self, graph: str, parts: Sequence[Mapping[str, Array]], outputs: Sequence[str]
    ) -> list[dict[str, Array]]:
        """Parts of one request, each of at most ``max_batch`` rows: all of them are taken, or none.

        Raises:
            Overloaded: if there is no room for all of them.
        """
        self.check_room(len(parts))
        loop = asyncio.get_running_loop()
        now = time.perf_counter()
        items = [
            _Item(graph, inputs, outputs, len(next(iter(inputs.values()))), loop.create_future(), now)
            for inputs in parts
        ]
        self._queue.extend(items)
        self._dispatch()
        try:
            results = await asyncio.gather(*(item.done for item in items))
        except BaseException:
            # The client went away, or another part failed: what still waits is for nobody.
            self._queue = deque(item for item in self._queue if item not in items)
            raise
        for item in items:
            self.observer.answered(item.queued_at, item.started_at, item.ended_at)
        return results

    def check_room(self, parts: int) -> None:
        """Whether so many parts would be taken now.

        Raises:
            Overloaded: if not.
        """
        # Free instances take their parts at once; they are free only while nothing waits.
        if len(self._queue) + parts - self._free > self._max_queue:
            raise Overloaded(f"{len(self._queue)} runs are waiting already.", "Try again in a moment.")

    def close(self) -> None:
        """Let go of the threads; nothing may be submitted afterwards."""
        self._pool.shutdown(wait=False)

    def _dispatch(self) -> None:
        loop = asyncio.get_running_loop()
        while self._free and self._queue:
            batch = self._take()
            self._free -= 1
            loop.run_in_executor(self._pool, self._run_batch, batch).add_done_callback(
                lambda finished, batch=batch: self._finish(batch, finished)  # type: ignore[misc]
            )

    def _take(self) -> list[_Item]:
        """The oldest request and all that fit beside it."""
        batch = [self._queue.popleft()]
        rows, rest = batch[0].rows, deque[_Item]()
        for item in self._queue:
            if item.graph == batch[0].graph and rows + item.rows <= self._max_batch:
                batch.append(item)
                rows += item.rows
            else:
                rest.append(item)
        self._queue = rest
        return batch

    def _run_batch(self, batch: list[_Item]) -> dict[str, Array]:
        names = sorted({name for item in batch for name in item.outputs})
        inputs = batch[0].inputs
        if len(batch) > 1:
            inputs = {name: np.concatenate([item.inputs[name] for item in batch]) for name in inputs}
        started = time.perf_counter()
        try:
            return dict(zip(names, self._run(batch[0].graph, inputs, names), strict=True))
        finally:
            ended = time.perf_counter()
            for item in batch:
                item.started_at, item.ended_at = started, ended

    def _finish(self, batch: list[_Item], finished: asyncio.Future[dict[str, Array]]) -> None:
        self._free += 1
        error = finished.exception()
        self.observer.ran(sum(item.rows for item in batch), batch[0].ended_at - batch[0].started_at)
        start = 0
        for item in batch:
            if not item.done.done():
                if error is not None:
                    item.done.set_exception(error)
                else:
                    results = finished.result()
                    item.done.set_result({name: results[name][start : start + item.rows] for name in item.outputs})
            start += item.rows
        self._dispatch()
