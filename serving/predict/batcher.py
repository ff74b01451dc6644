"""Greedy batching: a free instance runs whatever is queued for one graph; there is no waiting window."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from serving.errors import Overloaded

Array = npt.NDArray[Any]
Results = dict[str, Array]
Run = Callable[[str, Mapping[str, Array], Sequence[str]], list[Array]]
Then = Callable[[Results], Any]


class BatchObserver(Protocol):
    """Is told what runs, in the event loop's thread; moments are of ``time.perf_counter``."""

    def submitted(self) -> object:
        """Something is queued, in the task that asks for it; what is given here comes back with its end."""

    def answered(self, mark: object, queued_at: float, started_at: float, ended_at: float) -> None:
        """What was queued waited, and its graph ran; nobody is told of what was cancelled."""

    def ran(self, graph: str, rows: int, seconds: float) -> None:
        """One run of a graph ended."""


class Unobserved:
    """Nobody is told."""

    def submitted(self) -> object:
        """Nothing."""
        return None

    def answered(self, mark: object, queued_at: float, started_at: float, ended_at: float) -> None:
        """Nothing."""

    def ran(self, graph: str, rows: int, seconds: float) -> None:
        """Nothing."""


@dataclass(frozen=True, eq=False, slots=True)
class _Item:
    graph: str
    inputs: Mapping[str, Array]
    outputs: Sequence[str]
    rows: int
    then: Then | None
    done: asyncio.Future[Any]
    mark: object
    queued_at: float


def _never(graph: str, rows: int) -> bool:
    return False


class Batcher:
    """Runs requests beside the event loop, several rows together.

    Public methods belong to the event loop's thread. Each instance is a thread that takes from the queue itself: it
    need not wait for the event loop between two runs. A run that is shorter than the way to a thread and back is done
    in the event loop, together with all that arrived in the same turn of it.

    Args:
        run: ``(graph, inputs, outputs) -> arrays``, callable from several threads.
        instances: runs at a time.
        good_rows: of a graph: how many rows of several items are run together at most.
        max_queue: items waiting.
        is_short: ``(graph, rows)``: whether such a run is done in the event loop.
        observer: is told of every run; it may be replaced at any time.
    """

    def __init__(
        self,
        run: Run,
        *,
        instances: int,
        good_rows: Callable[[str], int],
        max_queue: int,
        is_short: Callable[[str, int], bool] = _never,
        observer: BatchObserver | None = None,
    ) -> None:
        self._run = run
        self._instances = instances
        self._good_rows = good_rows
        self._max_queue = max_queue
        self._is_short = is_short
        self.observer: BatchObserver = observer or Unobserved()
        self._queue: deque[_Item] = deque()  # of the condition, as are the two below
        self._running = 0
        self._closed = False
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._short: list[_Item] = []

    @property
    def waiting(self) -> tuple[int, int]:
        """Items that wait for an instance, and their rows."""
        with self._changed:
            rows = [item.rows for item in self._queue if not item.done.done()]
        return len(rows), sum(rows)

    def enqueue(
        self,
        graph: str,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        then: Then | None = None,
    ) -> asyncio.Future[Any]:
        """Rows of one request, which are run together; cancelled, they are not run.

        Args:
            then: makes something of the outputs, where they were computed; they themselves are given without it.

        Raises:
            Overloaded: if too many requests are waiting already.
        """
        self.check_room(1)
        item = self._item(graph, inputs, outputs, then)
        if not self._queue and self._is_short(graph, item.rows):
            if not self._short:
                asyncio.get_running_loop().call_soon(self._run_short)
            self._short.append(item)
        else:
            self._add([item])
        return item.done

    @property
    def is_busy(self) -> bool:
        """Whether what comes now has to wait."""
        return bool(self._queue) or self._running >= self._instances

    async def submit_all(
        self, graph: str, parts: Sequence[Mapping[str, Array]], outputs: Sequence[str]
    ) -> list[Results]:
        """Parts of one request: all of them are taken, or none.

        Raises:
            Overloaded: if there is no room for all of them.
        """
        self.check_room(len(parts))
        items = [self._item(graph, inputs, outputs, None) for inputs in parts]
        self._add(items)
        try:
            results: list[Results] = await asyncio.gather(*(item.done for item in items))
            return results
        except BaseException:  # the client went away, or another part failed: what still waits is for nobody
            for item in items:
                item.done.cancel()
            raise

    def check_room(self, parts: int) -> None:
        """Whether so many parts would be taken now.

        Raises:
            Overloaded: if not.
        """
        # Free instances take their parts at once; they are free only while nothing waits.
        if not self._has_room(parts):
            self._forget_cancelled()
            if not self._has_room(parts):
                raise Overloaded(f"{len(self._queue)} runs are waiting already.", "Try again in a moment.")

    def _has_room(self, parts: int) -> bool:
        free = self._instances - self._running
        return len(self._queue) + len(self._short) + parts - free <= self._max_queue

    def _forget_cancelled(self) -> None:
        with self._changed:
            wanted = [item for item in self._queue if not item.done.done()]
            self._queue.clear()
            self._queue.extend(wanted)

    def close(self) -> None:
        """Let go of the threads; nothing may be submitted afterwards."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _item(self, graph: str, inputs: Mapping[str, Array], outputs: Sequence[str], then: Then | None) -> _Item:
        done = asyncio.get_running_loop().create_future()
        rows = len(next(iter(inputs.values())))
        return _Item(graph, inputs, outputs, rows, then, done, self.observer.submitted(), time.perf_counter())

    def _add(self, items: Sequence[_Item]) -> None:
        loop = asyncio.get_running_loop()
        while len(self._threads) < self._instances:
            name = f"ganvas-instance-{len(self._threads)}"
            self._threads.append(threading.Thread(target=self._work, args=(loop,), name=name, daemon=True))
            self._threads[-1].start()
        with self._changed:
            self._queue.extend(items)
            self._changed.notify(len(items))

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """The life of an instance."""
        while True:
            with self._changed:
                while not self._queue and not self._closed:
                    self._changed.wait()
                if not self._queue:
                    return
                batch = self._take(self._queue)
                if not batch:
                    continue
                self._running += 1
            started = time.perf_counter()
            results, ended = self._results(batch)
            with self._changed:
                self._running -= 1
            try:
                loop.call_soon_threadsafe(self._deliver, batch, results, started, ended)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

    def _run_short(self) -> None:
        waiting = deque(self._short)
        self._short.clear()
        while waiting:
            batch = self._take(waiting)
            if not batch:
                return
            started = time.perf_counter()
            results, ended = self._results(batch)
            self._deliver(batch, results, started, ended)

    def _take(self, queue: deque[_Item]) -> list[_Item]:
        """The oldest request and all that fit beside it; empty if all that waits was cancelled."""
        batch, rest, rows, most = list[_Item](), list[_Item](), 0, 1
        while queue and rows < most:
            item = queue.popleft()
            if item.done.done():
                continue
            if not batch or (item.graph == batch[0].graph and rows + item.rows <= most):
                most = self._good_rows(item.graph)
                batch.append(item)
                rows += item.rows
            else:
                rest.append(item)
        queue.extendleft(reversed(rest))
        return batch

    def _results(self, batch: list[_Item]) -> tuple[list[Any], float]:
        """One for each item, an error in its place where there is none; and when the graph had run."""
        try:
            if len(batch) == 1:
                names, inputs = batch[0].outputs, batch[0].inputs
            else:
                names = list(dict.fromkeys(name for item in batch for name in item.outputs))
                inputs = {name: np.concatenate([item.inputs[name] for item in batch]) for name in batch[0].inputs}
            outputs = dict(zip(names, self._run(batch[0].graph, inputs, names), strict=True))
        except Exception as error:  # whatever it is, each request is told, and the instance goes on
            return [error] * len(batch), time.perf_counter()
        ended = time.perf_counter()
        found, start = [], 0
        for item in batch:
            rows = {name: outputs[name][start : start + item.rows] for name in item.outputs}
            start += item.rows
            try:
                found.append(rows if item.then is None or item.done.done() else item.then(rows))
            except Exception as error:  # of this request alone: the others of its batch have their answers
                found.append(error)
        return found, ended

    def _deliver(self, batch: list[_Item], results: list[Any], started: float, ended: float) -> None:
        self.observer.ran(batch[0].graph, sum(item.rows for item in batch), ended - started)
        for item, result in zip(batch, results, strict=True):
            if item.done.done():
                continue
            self.observer.answered(item.mark, item.queued_at, started, ended)
            if isinstance(result, Exception):
                item.done.set_exception(result)
            else:
                item.done.set_result(result)
