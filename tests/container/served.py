"""The serving image, read-only and as nobody in particular, called by clients that know nothing of it."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

from tests.container.engine import Engine, EngineError
from tests.container.graph import RECIPE
from tests.container.hardened import RESTRICTED, USER

NAME = "ganvas-serving-container-test"
READY_SECONDS = 120
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Serving:
    """What was seen of it.

    Attributes:
        ready_seconds: from the container's start until it was ready.
        version: that answered.
        exit_code: after SIGTERM.
        stop_seconds: from SIGTERM to its end.
    """

    ready_seconds: float
    version: str
    exit_code: int
    stop_seconds: float


def serve_and_call(engine: Engine, image: str, what: list[str], *options: str) -> Serving:
    """Start the container, wait until it is ready, call it, end it with SIGTERM.

    Args:
        engine: that runs it.
        image: in its storage.
        what: is served, as arguments of the image.
        options: further ones of ``podman run``.

    Raises:
        EngineError: if it is not ready in time, answers wrongly or is not what it should be.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    settings = [f"--env=GANVAS_SERVE_PORT={port}", "--env=GANVAS_SERVE_HOST=127.0.0.1"]
    started = time.perf_counter()
    engine.podman("run", "--detach", f"--name={NAME}", *RESTRICTED, *settings, *options, image, *what)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
            _wait_until_ready(engine, client)
            ready_seconds = time.perf_counter() - started
            _require_bounds(engine)
            engine.podman("healthcheck", "run", NAME)
            version = _call(client, port)
        started = time.perf_counter()
        engine.podman("kill", "--signal=TERM", NAME)
        exit_code = int(engine.podman("wait", NAME))
        stop_seconds = time.perf_counter() - started
        if exit_code:
            raise EngineError(f"SIGTERM ended it with {exit_code}: {engine.podman('logs', '--tail=5', NAME)}")
        return Serving(ready_seconds, version, exit_code, stop_seconds)
    finally:
        engine.podman("rm", "--force", "--time", "5", NAME)


def _wait_until_ready(engine: Engine, client: httpx.Client) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            if client.get("/v2/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        running = engine.podman("inspect", "--format={{.State.Running}}", NAME) == "true"
        if not running or time.monotonic() > deadline:
            state = "not ready in time" if running else "gone"
            raise EngineError(f"The server is {state}: {engine.podman('logs', '--tail=10', NAME)}")
        time.sleep(0.2)


def _require_bounds(engine: Engine) -> None:
    """The kernel's word on the server's process, from outside."""
    process = engine.podman("inspect", "--format={{.State.Pid}}", NAME)
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    if {int(user) for user in status["Uid"].split()} != {USER}:
        raise EngineError(f"The server runs as {status['Uid']}.")
    if int(status["CapEff"], 16) or int(status["CapPrm"], 16) or status["NoNewPrivs"] != "1":
        raise EngineError(f"The server has capabilities {status['CapEff']}, NoNewPrivs {status['NoNewPrivs']}.")
    root = next(line for line in Path(f"/proc/{process}/mounts").read_text().splitlines() if line.split()[1] == "/")
    if "ro" not in root.split()[3].split(","):
        raise EngineError(f"The server's root can be written to: {root}")


def _call(client: httpx.Client, port: int) -> str:
    """NVIDIA's client and the pictures' route agree on what the model gives; the version that answered."""
    import tritonclient.http as triton  # late: it brings gevent

    with triton.InferenceServerClient(f"127.0.0.1:{port}") as caller:
        if not caller.is_server_ready() or not caller.is_model_ready(RECIPE):
            raise EngineError("tritonclient does not see the model ready.")
        shape = caller.get_model_metadata(RECIPE)["inputs"][0]["shape"]
        latent = np.linspace(-1, 1, 3 * shape[1], dtype=np.float32).reshape(3, shape[1])
        entry = triton.InferInput("latent", list(latent.shape), "FP32")
        entry.set_data_from_numpy(latent)
        pixels = caller.infer(RECIPE, [entry]).as_numpy("pixels")
        image = caller.infer(RECIPE, [entry]).as_numpy("image")
    planes = np.moveaxis(pixels, -1, 1)  # NHWC as they are shown, NCHW as the network made them
    if len(image) != 3 or planes.shape != image.shape:
        raise EngineError(f"The tensors are of {pixels.shape} and {image.shape}.")
    if not np.abs(planes / 255.0 - image).max() < 0.51 / 255:
        raise EngineError("The pixels are not the image, rounded.")
    query = {"n": 4, "seed": 7}
    answers = [client.get(f"/v1/models/{RECIPE}/images", params=query) for _ in range(2)]
    if any(answer.status_code != 200 or not answer.content.startswith(PNG) for answer in answers):
        raise EngineError(f"The pictures' route answers {answers[0].status_code}: {answers[0].text[:200]}")
    if answers[0].content != answers[1].content:
        raise EngineError("The same seed gives two pictures.")
    return answers[0].headers["ganvas-model-version"]
