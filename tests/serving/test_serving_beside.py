"""A process that answers over HTTP and gRPC: how it says where, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tritonclient import grpc as triton
from tritonclient.utils import InferenceServerException

from serving.bundle.reader import read_bundle
from serving.catalog import Catalog, Served
from serving.http.app import create_app
from serving.http.server import _Server, bind, configuration, url_of
from serving.metrics import Metrics
from serving.predict.latents import standard_normal_latents
from serving.settings import Settings
from tests.serving.conftest import make_predictor


@contextmanager
def process(bundle: Path, **settings: object) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A server with gRPC and admin routes on free ports, and the places that its line names."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("GANVAS_", "OTEL_"))}
    ports = {"port": 0, "grpc_port": 0, "admin_port": 0, "drain_seconds": 1.5, "bundle": bundle}
    for name, value in {**ports, **settings}.items():
        environment[f"GANVAS_SERVE_{name.upper()}"] = str(value)
    command = [sys.executable, "-m", "serving"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as running:
        try:
            assert running.stdout is not None
            line = running.stdout.readline()
            yield running, line.partition(" at ")[2].strip().split(", ")
        finally:
            running.kill()


def latent() -> Any:
    found = triton.InferInput("latent", [2, 6], "FP32")
    found.set_data_from_numpy(standard_normal_latents(0, 2, 6))
    return found


def test_sigterm_loses_no_call_and_no_request(make_bundle: Any) -> None:
    with process(make_bundle()) as (running, places):
        url, address, admin = places[0], places[1].removeprefix("grpc://"), places[2].removeprefix("admin ")
        answered, lost, over, seen = [0, 0], [], threading.Event(), threading.Event()

        def ask_grpc() -> None:
            with triton.InferenceServerClient(address) as client:
                while not over.is_set():
                    try:
                        client.infer("tiny", [latent()])
                        answered[0] += 1
                    except InferenceServerException as error:
                        if error.status() != "StatusCode.UNAVAILABLE":  # gone; nothing else may be said
                            lost.append(str(error))
                        return

        def ask_http() -> None:
            with httpx.Client(base_url=url, trust_env=False) as client:
                # A load balancer stops once it saw that the server is not ready; over gRPC nobody does here.
                while not seen.is_set():
                    answer = client.get("/v1/models/tiny/images?n=1")
                    if answer.status_code != 200:
                        lost.append(answer.text)
                    answered[1] += 1

        threads = [threading.Thread(target=work) for work in (ask_grpc, ask_grpc, ask_http)]
        for thread in threads:
            thread.start()
        try:
            with httpx.Client(trust_env=False) as client, triton.InferenceServerClient(address) as probe:
                assert client.get(f"{admin}/status").json()["ready"] is True
                while not min(answered) > 5:
                    time.sleep(0.01)
                running.send_signal(signal.SIGTERM)
                while probe.is_server_ready():
                    time.sleep(0.01)
                assert client.get(f"{url}/v2/health/ready").status_code == 503
                before = answered[:]
                assert probe.is_server_live()
                while not all(now > then for now, then in zip(answered, before, strict=True)):
                    time.sleep(0.01)
                seen.set()
            assert running.wait(20) == 0
        finally:
            over.set()
            seen.set()
            for thread in threads:
                thread.join()
        assert lost == []
        assert running.stderr is not None
        records = [json.loads(line) for line in running.stderr.read().splitlines()]
        assert not any(record["level"] == "error" or "exception" in record for record in records)


def test_all_of_them_take_nothing_more_from_the_same_moment_on(make_bundle: Any) -> None:
    class Slow:
        """What was taken beside HTTP, and is not answered yet."""

        stopping, over = threading.Event(), threading.Event()

        async def start(self) -> str:
            return "slow"

        async def stop(self, grace_seconds: float) -> None:
            self.stopping.set()
            await asyncio.to_thread(self.over.wait, 20)
            ended.append("beside")

    ended: list[str] = []
    settings = Settings(models=("m",), drain_seconds=0.3, shutdown_seconds=30)
    slow, catalog = Slow(), Catalog(["m"])
    predictor = make_predictor(read_bundle(make_bundle()))
    predictor.close = lambda: ended.append("models")  # type: ignore[method-assign]
    with bind("127.0.0.1", 0) as listener:
        config = configuration(create_app(catalog, Metrics(), settings), settings)
        server = _Server(config, catalog, settings.drain_seconds, url_of(listener), [slow])

        async def run() -> None:
            catalog.slots["m"].swap(Served("m", "1", predictor))
            await server.serve([listener])

        thread = threading.Thread(target=lambda: asyncio.run(run()))
        thread.start()
        try:
            until(lambda: server.started)
            with httpx.Client(base_url=url_of(listener), trust_env=False) as client:
                assert client.get("/v2/health/ready").status_code == 200
                port = listener.getsockname()[1]
                server.handle_exit(signal.SIGTERM, None)
                assert client.get("/v2/health/ready").status_code == 503, "this is said first"
                assert client.get("/v1/models/m/images?n=1").status_code == 200, "and what still comes is answered"
            assert slow.stopping.wait(20)
            with pytest.raises(OSError, match="refused"):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            assert ended == [] and thread.is_alive(), "the models are there for what was taken"
        finally:
            slow.over.set()
            server.should_exit = True
            thread.join()
    assert ended == ["beside", "models"]


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def test_one_process_ends_by_itself_with_its_companions(make_bundle: Any) -> None:
    with process(make_bundle(), drain_seconds=0) as (running, places):
        assert [place.split(":")[0] for place in places] == ["http", "grpc", "admin http"]
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 0
        for place in places:
            with pytest.raises(OSError, match="refused"):
                socket.create_connection(("127.0.0.1", int(place.rpartition(":")[2])), timeout=1).close()


@pytest.mark.parametrize("setting", ["grpc_port", "admin_port"])
def test_a_taken_port_is_one_line(make_bundle: Any, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with process(make_bundle(), **{setting: port}) as (running, places):
            assert places == [""]
            assert running.wait(20) == 1
            assert running.stderr is not None
            lines = running.stderr.read().splitlines()
    assert lines[-1].startswith(f"ganvas-serve: Cannot listen on 127.0.0.1:{port}")
    assert not any("Traceback" in line for line in lines)
