"""The batcher: nothing mixed up, nothing over its bounds, nothing run for nobody."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from serving.bundle.reader import read_bundle
from serving.errors import Overloaded
from serving.predict.batcher import Batcher
from serving.predict.model import load_model
from serving.predict.predictor import Predictor
from serving.settings import Settings


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
        batcher = Batcher(recorder.run, instances=1, good_rows=lambda graph: 8, max_queue=100)
        recorder.gate.clear()

        async def ask(number: int) -> None:
            rows = np.full((1 + number % 3, 2), number, dtype=np.float32)
            name = ["double", "half"][number % 2]
            found = await batcher.enqueue("ab"[number % 2], {"x": rows}, [name])
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
        batcher = Batcher(recorder.run, instances=1, good_rows=lambda graph: 1, max_queue=2)
        recorder.gate.clear()
        rows = {"x": np.ones((1, 1), dtype=np.float32)}
        tasks = [asyncio.ensure_future(batcher.enqueue("a", rows, ["half"])) for _ in range(3)]
        await asyncio.sleep(0.01)
        with pytest.raises(Overloaded):
            await batcher.enqueue("a", rows, ["half"])
        tasks[2].cancel()  # a client that went away gives its place back, and its rows are not run
        await asyncio.gather(tasks[2], return_exceptions=True)
        last = asyncio.ensure_future(batcher.enqueue("a", rows, ["half"]))
        await asyncio.sleep(0.01)
        recorder.gate.set()
        await asyncio.gather(tasks[0], tasks[1], last)
        batcher.close()

    asyncio.run(scenario())
    assert len(recorder.batches) == 3


def test_a_failing_run_fails_its_requests_and_nothing_else() -> None:
    recorder = Recorder()

    async def scenario() -> None:
        batcher = Batcher(recorder.run, instances=2, good_rows=lambda graph: 1, max_queue=9)
        bad = {"x": np.full((1, 1), np.nan, dtype=np.float32)}
        with pytest.raises(RuntimeError, match="nan"):
            await batcher.enqueue("a", bad, ["half"])
        good = await batcher.enqueue("a", {"x": np.ones((1, 1), dtype=np.float32)}, ["half"])
        assert good["half"][0, 0] == 0.5
        batcher.close()

    asyncio.run(scenario())


def test_parts_of_a_request_are_taken_together_or_not_at_all() -> None:
    recorder = Recorder()
    rows = [{"x": np.full((1, 1), number, dtype=np.float32)} for number in range(4)]

    async def scenario() -> None:
        batcher = Batcher(recorder.run, instances=1, good_rows=lambda graph: 1, max_queue=2)
        with pytest.raises(Overloaded):
            await batcher.submit_all("a", rows, ["half"])
        assert not recorder.batches, "what is refused is not run"
        found = await batcher.submit_all("a", rows[:3], ["half"])
        assert [part["half"][0, 0] for part in found] == [0, 0.5, 1]
        batcher.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("ending", ["cancelled", "failed"])
def test_parts_that_wait_for_nobody_are_not_run(ending: str) -> None:
    recorder = Recorder()
    rows = [{"x": np.full((1, 1), value, dtype=np.float32)} for value in (np.nan, 1, 2)]

    async def scenario() -> None:
        batcher = Batcher(recorder.run, instances=1, good_rows=lambda graph: 1, max_queue=4)
        recorder.gate.clear()
        task = asyncio.create_task(batcher.submit_all("a", rows, ["half"]))
        await asyncio.sleep(0.01)
        if ending == "cancelled":
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        recorder.gate.set()
        await asyncio.gather(task, return_exceptions=True)
        await batcher.enqueue("last", {"x": np.ones((1, 1), dtype=np.float32)}, ["half"])
        batcher.close()

    asyncio.run(scenario())
    # The failed part is not counted; after a failure the others may have begun before the request learned of it.
    assert len(recorder.batches) - 2 in {"cancelled": (0,), "failed": (0, 1, 2)}[ending]


def test_a_refused_answer_costs_neither_latents_nor_runs(make_bundle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, asked = load_model(read_bundle(make_bundle())), []
    for name in ("run", "sampler_inputs"):
        monkeypatch.setattr(model, name, lambda *_, name=name: asked.append(name))

    async def scenario() -> None:
        predictor = Predictor(model, instances=1, max_batch=4, max_queue=2)
        with pytest.raises(Overloaded):
            await predictor.sample(0, 16)
        await asyncio.sleep(0.05)
        predictor.close()

    asyncio.run(scenario())
    assert not asked


@pytest.mark.parametrize("good_rows", [1, 64])
@pytest.mark.parametrize(("count", "max_batch", "max_queue"), [(256, 64, 4), (64, 64, 1), (17, 1, 17)])
def test_what_the_settings_let_through_fits_an_idle_queue(
    make_bundle: Any, monkeypatch: pytest.MonkeyPatch, good_rows: int, count: int, max_batch: int, max_queue: int
) -> None:
    Settings(models=("m",), max_images=count, max_batch=max_batch, max_queue=max_queue)
    model = load_model(read_bundle(make_bundle()))
    monkeypatch.setattr(model, "good_rows", lambda graph: good_rows)

    async def scenario() -> None:
        predictor = Predictor(model, instances=1, max_batch=max_batch, max_queue=max_queue)
        assert len(await predictor.sample(0, count)) == count
        predictor.close()

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
