"""Nothing is done for a client that went away, and no more is in hand than there are places."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from serving.errors import Overloaded
from serving.http.admission import Admission
from serving.http.presence import while_present
from serving.pictures import files

GONE = 'ganvas_serve_requests_total{route="/v1/models/{model}/images",status="499"}'
INFER_GONE = 'ganvas_serve_requests_total{route="/v2/models/{model}/infer",status="499"}'


class Gate:
    """A function that waits until it is let through, and counts its calls."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self._open = threading.Event()
        self.calls = 0

    def __call__(self, *arguments: Any) -> Any:
        self.calls += 1
        assert self._open.wait(20)
        return self._function(*arguments)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gates() -> Iterator[list[Gate]]:
    """Gates that are opened in the end, so that no thread is left waiting."""
    made: list[Gate] = []
    yield made
    for gate in made:
        gate.open()


def leave(running: Any, count: int) -> list[socket.socket]:
    """Ask for images and keep the connections, to leave by closing them."""
    url = running.client.base_url
    found = []
    for _ in range(count):
        client = socket.create_connection((url.host, url.port), timeout=10)
        client.sendall(b"GET /v1/models/m/images?n=16 HTTP/1.1\r\nHost: x\r\n\r\n")
        found.append(client)
    return found


def gate_runs(running: Any, gates: list[Gate]) -> Gate:
    batcher = running.catalog.slots["m"].current.predictor._batcher
    batcher._run = gate = Gate(batcher._run)
    batcher._is_short = lambda graph, rows: False  # a gate would stop the event loop
    batcher._good_rows = lambda graph: 1  # each request is a run of its own
    gates.append(gate)
    return gate


def test_the_rows_of_clients_that_went_away_are_not_run(serving: Any, make_bundle: Any, gates: list[Gate]) -> None:
    with serving(bundles={"m": make_bundle()}) as running:
        gate = gate_runs(running, gates)
        clients = leave(running, 40)
        running.wait_until(lambda: gate.calls == 2)
        for client in clients:
            client.close()
        running.wait_until(lambda: running.metric(GONE) == 40)
        gate.open()
        assert running.client.get("/v1/models/m/images?n=16").status_code == 200
        assert gate.calls == 3, "two that had begun, and the one that is still wanted"
        assert running.catalog.slots["m"].current._leases == 0


def test_latents_are_not_made_for_who_left_right_after_asking(
    serving: Any, make_bundle: Any, gates: list[Gate], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(bundles={"m": make_bundle()}) as running:
        gate = gate_runs(running, gates)
        staying = leave(running, 2)
        running.wait_until(lambda: gate.calls == 2)
        model = running.catalog.slots["m"].current.predictor._model
        made: list[int] = []
        monkeypatch.setattr(
            model, "sampler_inputs", lambda *asked: made.append(1) or type(model).sampler_inputs(model, *asked)
        )
        with blocked(running):  # what is sent now, and its end, is seen in one turn of the loop
            for client in leave(running, 40):
                client.close()
        running.wait_until(lambda: running.metric(GONE) == 40)
        assert not made
        for client in staying:
            client.close()
        gate.open()
        assert running.client.get("/v1/models/m/images?n=2").status_code == 200
        assert len(made) == 1


@contextmanager
def blocked(running: Any) -> Iterator[None]:
    """The server's event loop stands still."""
    begun, over = threading.Event(), threading.Event()
    running.loop.call_soon_threadsafe(lambda: (begun.set(), over.wait(20)))
    assert begun.wait(20)
    try:
        yield
    finally:
        over.set()


def test_a_place_is_given_back_when_the_client_goes(serving: Any, make_bundle: Any, gates: list[Gate]) -> None:
    with serving(bundles={"m": make_bundle()}, max_requests=1) as running:
        gate = gate_runs(running, gates)
        (client,) = leave(running, 1)
        running.wait_until(lambda: gate.calls == 1)
        assert running.client.get("/v1/models/m/images?n=1").status_code == 503
        client.close()
        running.wait_until(lambda: running.metric(GONE) == 1)
        gate.open()
        assert running.client.get("/v1/models/m/images?n=1").status_code == 200


@pytest.mark.parametrize(("size", "pieces"), [(100_000, 1), (300_000, 3)])
def test_who_sent_a_large_body_is_missed_too(
    serving: Any, make_bundle: Any, gates: list[Gate], size: int, pieces: int
) -> None:
    """uvicorn stops reading over 64 KiB, and who does not read does not notice an end."""
    latent = b'{"inputs":[{"name":"latent","datatype":"FP32","shape":[1,6],"data":[0,0,0,0,0,0]}]}'
    head = f"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()
    content = head + latent.ljust(size)
    step = -(-len(content) // pieces)
    with serving(bundles={"m": make_bundle()}) as running:
        gate = gate_runs(running, gates)
        url = running.client.base_url
        with socket.create_connection((url.host, url.port), timeout=10) as client:
            for start in range(0, len(content), step):
                client.sendall(content[start : start + step])
            running.wait_until(lambda: gate.calls == 1)
        running.wait_until(lambda: running.metric(INFER_GONE) == 1, seconds=5)


def test_requests_that_wait_to_be_encoded_are_bounded(
    serving: Any, make_bundle: Any, gates: list[Gate], monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = Gate(files.encode_samples)
    gates.append(encode)
    monkeypatch.setattr(files, "encode_samples", encode)
    with serving(bundles={"m": make_bundle()}, max_requests=2) as running:
        runs = gate_runs(running, gates)
        runs.open()
        clients = leave(running, 2)
        running.wait_until(lambda: encode.calls == 2)
        answer = running.client.get("/v1/models/m/images?n=1")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert runs.calls == 2, "what cannot be encoded is not computed"
        assert running.client.get("/v2/health/ready").status_code == 200
        encode.open()
        for client in clients:
            assert client.recv(100).startswith(b"HTTP/1.1 200")
            client.close()


def test_who_is_cut_off_by_the_end_is_told(serving: Any, make_bundle: Any, gates: list[Gate]) -> None:
    with serving(bundles={"m": make_bundle()}, shutdown_seconds=1) as running:
        gate = gate_runs(running, gates)
        (client,) = leave(running, 1)
        running.wait_until(lambda: gate.calls == 1)
    answer = client.recv(1 << 16)
    client.close()
    assert answer.startswith(b"HTTP/1.1 503")
    assert answer.endswith(b'{"error":"the server is shutting down"}')


def test_places_are_counted() -> None:
    admission = Admission(1)
    with admission, pytest.raises(Overloaded), admission:
        pass
    with pytest.raises(KeyError), admission:
        raise KeyError
    with admission:
        pass


def test_work_ends_with_its_client_and_otherwise_gives_what_it_gives() -> None:
    ended = []

    async def work(seconds: float, error: Exception | None = None) -> int:
        try:
            await asyncio.sleep(seconds)
            if error:
                raise error
            return 7
        finally:
            ended.append(seconds)

    async def gone() -> dict[str, Any]:
        await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    async def there() -> dict[str, Any]:
        return await asyncio.get_running_loop().create_future()

    async def scenario() -> None:
        assert await while_present(there, work(0)) == 7
        with pytest.raises(KeyError):
            await while_present(there, work(0, KeyError()))
        with pytest.raises(ClientDisconnect):
            await while_present(gone, work(60))
        outer = asyncio.create_task(while_present(there, work(61)))
        await asyncio.sleep(0.01)
        outer.cancel()
        await asyncio.gather(outer, return_exceptions=True)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(scenario())
    assert ended == [0, 0, 60, 61]
