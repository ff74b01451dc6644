"""The endpoint beside raw onnxruntime and beside other servers: `make bench NAME=serve`.

A DCGAN generator of 64 by 64 RGB pictures (Radford et al. 2016; random weights, which cost the same) and an identity of
128 floats. "Raw" is onnxruntime at its best in one process: a session with one thread a run, called by as many threads
as there are cores, one row a call. Load comes from a process of its own on the same cores, one request in flight a
connection. Every figure is the median over rounds of a server's answers a second over raw's in the same round; servers
take turns, and no two run at a time.

The peers get environments of their own, by uv or pip: their pins cannot stand beside this project's.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.record import table, write
from benchmarks.servers.bundles import write_dcgan, write_identity

SERVERS = Path(__file__).parent / "servers"
PORT = 18_700
CLIENTS = (1, 8, 32)
LATENT = 100
IDENTITY = 128
DISTINCT = 64
"""Requests that clients take in turn."""
ENVIRONMENTS = {
    "kserve": ["kserve==0.21.0", "onnxruntime==1.24.4"],
    "mlserver": ["mlserver==1.7.1", "onnxruntime==1.24.4"],
}


@dataclass
class Server:
    """One server under load.

    Attributes:
        command: starts it; it listens on ``PORT`` of loopback.
        requests: whole HTTP requests by the name of the wire.
    """

    name: str
    command: list[str]
    requests: dict[str, list[bytes]]
    environment: dict[str, str] = field(default_factory=dict)


def post(path: str, body: bytes, json_length: int | None = None) -> bytes:
    """A whole HTTP/1.1 request."""
    extra = "" if json_length is None else f"Inference-Header-Content-Length: {json_length}\r\n"
    kind = "application/json" if json_length is None else "application/octet-stream"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def latents(width: int) -> np.ndarray:
    """[DISTINCT, width] float32, rounded so that its JSON is as short as a client's may be."""
    random = np.random.Generator(np.random.PCG64(0))
    return random.standard_normal((DISTINCT, width)).astype(np.float32).round(4)


def by_protocol(path: str, width: int, output: str) -> dict[str, list[bytes]]:
    """Requests of one row for one output of floats, in JSON and in binary."""
    wires: dict[str, list[bytes]] = {"JSON": [], "binary": []}
    for row in latents(width):
        entry: dict[str, Any] = {"name": "latent", "shape": [1, width], "datatype": "FP32"}
        wanted: dict[str, Any] = {"name": output}
        plain = {
            "id": "1",
            "inputs": [entry | {"data": [round(float(value), 4) for value in row]}],
            "outputs": [wanted],
        }
        wires["JSON"].append(post(path, json.dumps(plain).encode()))
        entry["parameters"] = {"binary_data_size": row.nbytes}
        wanted["parameters"] = {"binary_data": True}
        head = json.dumps({"id": "1", "inputs": [entry], "outputs": [wanted]}).encode()
        wires["binary"].append(post(path, head + row.tobytes(), len(head)))
    return wires


def pictures(model: str) -> list[bytes]:
    """One PNG of one sample each."""
    path = f"/v1/models/{model}/images?n=1&format=png&seed="
    return [f"GET {path}{seed} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for seed in range(DISTINCT)]


def ours(bundle: Path, name: str, width: int, output: str) -> Server:
    requests = by_protocol(f"/v2/models/{name}/infer", width, output)
    if output == "image":
        requests["PNG"] = pictures(name)
    command = [sys.executable, "-m", "serving", "--bundle", str(bundle), "--name", name, "--port", str(PORT)]
    return Server("ganvas", command, requests)


def others(model: Path, work: Path, chosen: set[str], width: int, output: str) -> list[Server]:
    """The peers that can be had."""
    found = []
    if "bare" in chosen:
        raw = [post("/", row.tobytes()) for row in latents(width)]
        found.append(
            Server("uvicorn alone", [sys.executable, str(SERVERS / "bare.py"), "-", str(PORT)], {"binary": raw})
        )
    if "fastapi" in chosen:
        raw = [post("/infer", row.tobytes()) for row in latents(width)]
        command = [sys.executable, str(SERVERS / "fastapi_route.py"), str(model), str(PORT)]
        found.append(Server("FastAPI route", command, {"binary": raw}))
    path = "/v2/models/model/infer"
    if "kserve" in chosen and (python := environment("kserve", work)):
        command = [str(python), str(SERVERS / "kserve_model.py"), str(model), str(PORT)]
        found.append(Server("KServe SDK 0.21", command, by_protocol(path, width, output)))
    if "mlserver" in chosen and (python := environment("mlserver", work)):
        directory = work / f"mlserver-{model.parent.name}"
        directory.mkdir(exist_ok=True)
        shutil.copy(SERVERS / "mlserver_model.py", directory)
        settings = {"http_port": PORT, "grpc_port": PORT + 1, "metrics_port": PORT + 2, "parallel_workers": 0}
        (directory / "settings.json").write_text(json.dumps({"host": "127.0.0.1", "debug": False} | settings))
        implementation = {"name": "model", "implementation": "mlserver_model.Onnx", "parameters": {"uri": str(model)}}
        (directory / "model-settings.json").write_text(json.dumps(implementation))
        command = [str(python.parent / "mlserver"), "start", str(directory)]
        plain = {"JSON": by_protocol(path, width, output)["JSON"]}
        found.append(Server("MLServer 1.7.1", command, plain, {"PYTHONPATH": str(directory)}))
    return found


def environment(name: str, work: Path) -> Path | None:
    """The python of a peer's environment, made once; none, with a word, where it cannot be made."""
    directory = work / f"environment-{name}"
    python = directory / "bin" / "python"
    if (directory / "whole").exists():
        return python
    uv = SERVERS.parent.parent / ".bootstrap" / "bin" / "uv"
    try:
        subprocess.run([str(uv), "venv", "--quiet", "--python", "3.11", str(directory)], check=True)
        install = [str(uv), "pip", "install", "--quiet", "--python", str(python), *ENVIRONMENTS[name]]
        subprocess.run(install, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{name} is left out: {error}", file=sys.stderr)
        return None
    (directory / "whole").touch()
    return python


@contextmanager
def running(server: Server, log: Path) -> Iterator[int]:
    """The server's process id while it answers."""
    with log.open("w") as output:
        process = subprocess.Popen(
            server.command, stdout=output, stderr=output, env=os.environ | server.environment, start_new_session=True
        )
        try:
            deadline = time.monotonic() + 90
            while True:
                try:
                    socket.create_connection(("127.0.0.1", PORT), timeout=1).close()
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() > deadline:
                        raise RuntimeError(f"{server.name} does not listen:\n{log.read_text()[-2000:]}") from None
                    time.sleep(0.1)
            time.sleep(0.5)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def load(requests: list[bytes], connections: int, seconds: float, directory: Path) -> dict[str, Any]:
    """What ``benchmarks.load`` saw."""
    files = []
    for number, request in enumerate(requests):
        files.append(directory / f"{number}.request")
        files[-1].write_bytes(request)
    command = [sys.executable, "-m", "benchmarks.load", "--port", str(PORT), "--connections", str(connections)]
    found = subprocess.run(
        [*command, "--seconds", str(seconds), *map(str, files)],
        check=True,
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    )
    result: dict[str, Any] = json.loads(found.stdout)
    if set(result["statuses"]) != {"200"}:
        raise RuntimeError(f"answers were {result['statuses']}")
    return result


def raw(model: Path, width: int, output: str, seconds: float) -> float:
    """Rows a second of onnxruntime at its best."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    rows = latents(width)
    until = time.perf_counter() + seconds
    counts = [0] * len(os.sched_getaffinity(0))

    def call(number: int) -> None:
        while time.perf_counter() < until:
            row = rows[counts[number] % DISTINCT][None]
            session.run([output], {"latent": row})
            counts[number] += 1

    threads = [threading.Thread(target=call, args=(number,)) for number in range(len(counts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


Measured = dict[tuple[str, str, int], list[float]]


def generator_rounds(
    servers: list[Server], base: Callable[[], float], rounds: int, seconds: float, work: Path
) -> tuple[Measured, list[float]]:
    """Answers a second as a share of raw, by server, wire and clients."""
    found: Measured = {}
    bases = []
    for number in range(rounds):
        for server in servers if number % 2 == 0 else servers[::-1]:
            before = base()
            with running(server, work / "server.log"):
                seen = {
                    (wire, clients): load(requests, clients, seconds, work)["per_second"]
                    for wire, requests in server.requests.items()
                    for clients in CLIENTS
                }
            reference = (before + base()) / 2
            bases.append(reference)
            for (wire, clients), rate in seen.items():
                found.setdefault((server.name, wire, clients), []).append(rate / reference)
            print(number, server.name, {key: round(rate / reference, 2) for key, rate in seen.items()}, flush=True)
    return found, bases


def identity_rounds(servers: list[Server], rounds: int, seconds: float, work: Path) -> dict[str, list[dict[str, Any]]]:
    """Latency at one client and answers a second at 32, by server and wire."""
    found: dict[str, list[dict[str, Any]]] = {}
    for number in range(rounds):
        for server in servers if number % 2 == 0 else servers[::-1]:
            with running(server, work / "server.log"):
                for wire, requests in server.requests.items():
                    one = load(requests, 1, seconds, work)
                    many = load(requests, 32, seconds, work)
                    seen = {"p50": one["p50"], "p99": one["p99"], "per_second": many["per_second"]}
                    found.setdefault(f"{server.name}, {wire}", []).append(seen)
                    print(number, server.name, wire, seen, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--peers", default="bare,fastapi,kserve,mlserver")
    parser.add_argument("--work", type=Path, help="where environments of peers are kept; a temporary one by default")
    options = parser.parse_args()
    chosen = set(options.peers.split(",")) - {""}
    with tempfile.TemporaryDirectory() as temporary:
        work = (options.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        dcgan, identity = write_dcgan(work / "dcgan", LATENT), write_identity(work / "identity", IDENTITY)
        model = dcgan / "generator.onnx"
        servers = [
            ours(dcgan, "dcgan", LATENT, "image"),
            *others(model, work, chosen - {"bare"}, LATENT, "image"),
        ]
        shares, bases = generator_rounds(
            servers, lambda: raw(model, LATENT, "image", options.seconds), options.rounds, options.seconds, work
        )
        small = [
            ours(identity, "identity", IDENTITY, "sample"),
            *others(identity / "generator.onnx", work, chosen, IDENTITY, "sample"),
        ]
        overhead = identity_rounds(small, options.rounds, options.seconds, work)
    record(shares, bases, overhead, options.rounds)


def record(shares: Measured, bases: list[float], overhead: dict[str, list[dict[str, Any]]], rounds: int) -> None:
    """Write the tables."""
    aims = {("ganvas", "binary"): "at least .85 at 32", ("ganvas", "PNG"): "at least .85 at 32"}
    aims["ganvas", "JSON"] = "at least .50 at 8"
    rows = []
    for server, wire in dict.fromkeys((server, wire) for server, wire, _ in shares):
        cells = []
        for clients in CLIENTS:
            values = shares[server, wire, clients]
            cells.append(f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})")
        rows.append([server, wire, *cells, aims.get((server, wire), "")])
    small = []
    for name, measured in overhead.items():
        medians = {key: statistics.median(one[key] for one in measured) for key in ("p50", "p99", "per_second")}
        aim = "p50 at most 150, at least 20,000 a second" if name == "ganvas, binary" else ""
        small.append([name, f"{medians['p50']:.0f}", f"{medians['p99']:.0f}", f"{medians['per_second']:,.0f}", aim])
    body = "\n\n".join(
        [
            f"A DCGAN generator of 64 by 64 RGB pictures: answers a second as a share of raw onnxruntime's "
            f"{statistics.median(bases):.0f} rows a second, one row a request; medians of {rounds} rounds, and their "
            "ranges.",
            table(["server", "wire", *(f"{count} client{'s' * (count > 1)}" for count in CLIENTS), "aim"], rows),
            "An identity of 128 floats, with metrics on: microseconds at one client, answers a second at 32. "
            "`uvicorn alone` answers 512 bytes and looks at nothing: what is left is what a server adds to it.",
            table(["server, wire", "p50, µs", "p99, µs", "answers a second", "aim"], small),
        ]
    )
    write("serve", "The endpoint beside raw onnxruntime and other servers", "make bench NAME=serve", body)


if __name__ == "__main__":
    main()
