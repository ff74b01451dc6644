"""The batcher: nothing mixed up, nothing over its bounds, nothing run for nobody."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from serving.batcher import Batcher
from serving.errors import Overloaded


class Recorder:
    """A model that doubles, slowly if its gate is shut, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, int]] = []
        self.gate = threading.Event()
        self.gate.set()

    def run(self, graph: str, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        assert self.gate.wait(10)
        self.batches.append((graph, len(inputs["x"])))
        if np.isnan(inputs["x"]).any():
            raise RuntimeError("nan")
        shift = 1000 if graph == "b" else 0
        results = {"double": inputs["x"] * 2 + shift, "half": inputs["x"] / 2 + shift}
        return [results[name] for name in outputs]


async def until(condition: object) -> None:
    assert callable(condition)
    while not condition():
        await asyncio.sleep(0.001)


def test_each_request_gets_its_own_rows_and_outputs() -> None:
    recorder = Recorder()

    async def scenario() -> None:
        batcher = Batcher(recorder.run, instances=1, max_batch=8, max_queue=100)
        recorder.gate.clear()

        async def ask(number: int) -> None:
            rows = np.full((1 + number % 3, 2), number, dtype=np.float32)
            name = ["double", "half"][number % 2]
            found = await batcher.submit("ab"[number % 2], {"x": rows}, [name])
            np.testing.assert_array_equal(found[name], rows * (2 if name == "double" else 0.5) + number % 2 * 1000)
            assert list(found) == [name]

        tasks = [asyncio.create_task(ask(number)) for number in range(30)]
        await asyncio.sleep(0.01)
        recorder.gate.set()
        await asyncio.gather(*tasks)
        batcher.close()

    asyncio.run(scenario())
    assert sum(rows for _, rows in recorder.batches) == 60
    assert max(rows for _, rows in recorder.batches) <= 8
    assert len(recorder.batches) < 15, "requests that wait run together"


def test_a_full_queue_refuses_and_recovers() -> None:
    recorder = Recorder()

    async def scenario() -> None:
        batcher = Batcher(recorder.run, instances=1, max_batch=1, max_queue=2)
        recorder.gate.clear()
        rows = {"x": np.ones((1, 1), dtype=np.float32)}
        tasks = [asyncio.create_task(batcher.submit("a", rows, ["half"])) for _ in range(3)]
        await asyncio.sleep(0.01)
        with pytest.raises(Overloaded):
            await batcher.submit("a", rows, ["half"])
        tasks[2].cancel()  # a client that went away gives its place back, and its rows are not run
        await asyncio.gather(tasks[2], return_exceptions=True)
        last = asyncio.create_task(batcher.submit("a", rows, ["half"]))
        await asyncio.sleep(0.01)
        recorder.gate.set()
        await asyncio.gather(tasks[0], tasks[1], last)
        batcher.close()

    asyncio.run(scenario())
    assert len(recorder.batches) == 3


def test_a_failing_run_fails_its_requests_and_nothing_else() -> None:
    recorder = Recorder()

    async def scenario() -> None:
        batcher = Batcher(recorder.run, instances=2, max_batch=1, max_queue=9)
        bad = {"x": np.full((1, 1), np.nan, dtype=np.float32)}
        with pytest.raises(RuntimeError, match="nan"):
            await batcher.submit("a", bad, ["half"])
        good = await batcher.submit("a", {"x": np.ones((1, 1), dtype=np.float32)}, ["half"])
        assert good["half"][0, 0] == 0.5
        batcher.close()

    asyncio.run(scenario())


def test_overload_is_a_503_that_says_when_to_come_back(serving: object, make_bundle: object) -> None:
    assert callable(serving)
    assert callable(make_bundle)
    with serving(bundles={"m": make_bundle()}, max_queue=1) as running:
        # 100 samples are seven runs of 16; two run, one waits.
        answer = running.client.get("/v1/models/m/images?n=100")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert set(answer.json()) == {"error"}
