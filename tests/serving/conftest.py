"""Tiny models, a registry in memory, and a server under test."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime
import pytest
import uvicorn
from onnx import TensorProto, helper, numpy_helper

from serving.bundle.reader import Bundle, read_bundle
from serving.catalog import Catalog, Served
from serving.http.app import create_app
from serving.http.server import bind, configuration
from serving.metrics import Metrics
from serving.predict.latents import ALGORITHM, standard_normal_latents
from serving.predict.model import load_model
from serving.predict.predictor import Predictor
from serving.registry.source import AliasSource, Source
from serving.registry.version import RegisteredVersion
from serving.registry.watcher import Watcher
from serving.settings import Settings

Z, SIDE, DIMENSIONS, CLASSES = 6, 8, 3, ("cat", "dog", "0")
BUNDLE_VERSION = "bundle"
"""Of what a test puts into its place by itself."""
MakeBundle = Callable[..., Path]


def _serialize(nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: dict[str, np.ndarray]) -> bytes:
    initializers = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def _sampler(kind: str, channels: int, conditional: bool, seed: int, nan: bool) -> bytes:
    width = DIMENSIONS if kind == "vector" else channels * SIDE * SIDE
    random = np.random.Generator(np.random.Philox(key=seed))
    weights = {"weight": random.normal(size=(Z, width)).astype(np.float32)}
    if nan:
        weights["weight"][:] = np.nan
    inputs = [helper.make_tensor_value_info("latent", TensorProto.FLOAT, ["N", Z])]
    nodes = [helper.make_node("MatMul", ["latent", "weight"], ["linear"])]
    hidden = "linear"
    if conditional:
        inputs.append(helper.make_tensor_value_info("label", TensorProto.INT64, ["N"]))
        weights["classes"] = random.normal(size=(len(CLASSES), width)).astype(np.float32)
        nodes += [
            helper.make_node("Gather", ["classes", "label"], ["of_class"]),
            helper.make_node("Add", ["linear", "of_class"], ["conditioned"]),
        ]
        hidden = "conditioned"
    if kind == "vector":
        nodes.append(helper.make_node("Identity", [hidden], ["sample"]))
        return _serialize(
            nodes, inputs, [helper.make_tensor_value_info("sample", TensorProto.FLOAT, ["N", width])], weights
        )
    weights |= {"shape": np.array([-1, channels, SIDE, SIDE]), "byte": np.array(255, dtype=np.float32)}
    nodes += [
        helper.make_node("Sigmoid", [hidden], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["image"]),
        helper.make_node("Mul", ["image", "byte"], ["scaled"]),
        helper.make_node("Round", ["scaled"], ["rounded"]),
        helper.make_node("Transpose", ["rounded"], ["last"], perm=[0, 2, 3, 1]),
        helper.make_node("Cast", ["last"], ["pixels"], to=TensorProto.UINT8),
    ]
    outputs = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", channels, SIDE, SIDE]),
        helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", SIDE, SIDE, channels]),
    ]
    return _serialize(nodes, inputs, outputs, weights)


def _encoder(channels: int, statistics: list[str]) -> bytes:
    width = channels * SIDE * SIDE
    random = np.random.Generator(np.random.Philox(key=99))
    weights = {
        "shape": np.array([-1, width]),
        "mean_weight": random.normal(size=(width, Z)).astype(np.float32) / 255,
        "variance_weight": random.normal(size=(width, Z)).astype(np.float32) / 2550,
    }
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["float", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "mean_weight"], ["mean"]),
    ]
    if "log_variance" in statistics:
        nodes.append(helper.make_node("MatMul", ["flat", "variance_weight"], ["log_variance"]))
    return _serialize(
        nodes,
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", SIDE, SIDE, channels])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", Z]) for name in statistics],
        weights,
    )


def _tensor(name: str, dtype: str, *shape: int) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "shape": [-1, *shape]}


def _entry(file: str, content: bytes, inputs: list[Any], outputs: list[Any]) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    return {"file": file, "sha256": digest, "size_bytes": len(content), "inputs": inputs, "outputs": outputs}


def write_bundle(
    directory: Path,
    *,
    family: str = "gan",
    kind: str = "image",
    channels: int = 1,
    conditional: bool = False,
    seed: int = 0,
    nan: bool = False,
) -> Path:
    """Write a valid bundle whose weights follow from ``seed``; with ``nan`` all its hashes agree, too."""
    directory.mkdir(parents=True)
    sampler = "generator" if family == "gan" else "decoder"
    content = _sampler(kind, channels, conditional, seed, nan)
    inputs = [_tensor("latent", "float32", Z)] + ([_tensor("label", "int64")] if conditional else [])
    shape = [DIMENSIONS] if kind == "vector" else [channels, SIDE, SIDE]
    if kind == "vector":
        outputs = [_tensor("sample", "float32", DIMENSIONS)]
    else:
        outputs = [_tensor("image", "float32", *shape), _tensor("pixels", "uint8", SIDE, SIDE, channels)]
    files = {f"{sampler}.onnx": content}
    graphs = {sampler: _entry(f"{sampler}.onnx", content, inputs, outputs)}
    if family != "gan":
        names = ["mean", "log_variance"] if family == "vae" else ["mean"]
        files["encoder.onnx"] = encoder = _encoder(channels, names)
        statistics = [_tensor(name, "float32", Z) for name in names]
        pixels = [_tensor("pixels", "uint8", SIDE, SIDE, channels)]
        graphs["encoder"] = _entry("encoder.onnx", encoder, pixels, statistics)
    golden_inputs: dict[str, Any] = {"latent": standard_normal_latents(7, 4, Z)}
    if conditional:
        golden_inputs["label"] = np.arange(4) % len(CLASSES)
    name = "sample" if kind == "vector" else "image"
    clean = _sampler(kind, channels, conditional, seed, nan=False)
    stream = io.BytesIO()
    np.save(stream, raw_run(clean, golden_inputs, [name])[0])
    files["golden.npy"] = stream.getvalue()
    signature = {
        "schema_version": 1,
        "family": family,
        "graphs": graphs,
        "sample": {"kind": kind, "shape": shape, "value_range": None if kind == "vector" else [0.0, 1.0]},
        "latent": {"size": Z, "prior": "standard-normal", "algorithm": ALGORITHM},
        "class_names": list(CLASSES) if conditional else [],
        "golden": {
            "file": "golden.npy",
            "sha256": hashlib.sha256(files["golden.npy"]).hexdigest(),
            "seed": 7,
            "count": 4,
            "tolerance": 1e-3,
        },
        "parity": {"max_absolute_error": 0.0, "tolerance": 1e-4, "batch_sizes": [1]},
        "parameters": {sampler: 1},
        "lineage": {
            "recipe": "tiny",
            "recipe_sha256": "0" * 64,
            "dataset_name": "none",
            "dataset_fingerprint": "0" * 64,
            "images_seen": 1000,
            "seed": 0,
        },
    }
    for file, data in files.items():
        (directory / file).write_bytes(data)
    (directory / "signature.json").write_text(json.dumps(signature))
    return directory


def raw_run(model: bytes, inputs: dict[str, Any], outputs: list[str]) -> list[np.ndarray]:
    """What onnxruntime itself gives."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    results: list[np.ndarray] = session.run(outputs, inputs)
    return results


def make_predictor(bundle: Bundle, max_queue: int = 256) -> Predictor:
    """A predictor with two instances and batches of at most 16."""
    return Predictor(load_model(bundle), instances=2, max_batch=16, max_queue=max_queue)


@dataclass
class MemoryRegistry:
    """A registry whose alias moves by assignment."""

    champions: dict[str, tuple[RegisteredVersion, Path]] = field(default_factory=dict)
    error: Exception | None = None
    downloads: int = 0
    slow: dict[str, threading.Event] = field(default_factory=dict)
    """Downloads of these models wait."""
    closed: bool = False

    challengers: dict[str, tuple[RegisteredVersion, Path]] = field(default_factory=dict)
    """The same of another alias."""

    def move(
        self, name: str, version: str, directory: Path, verdict: str = "passed", *, alias: str = "champion"
    ) -> None:
        self._of(alias)[name] = (RegisteredVersion(name, version, 1000, verdict), directory)

    def resolve(self, name: str, alias: str) -> RegisteredVersion | None:
        if self.error:
            raise self.error
        return self._of(alias)[name][0] if name in self._of(alias) else None

    def find(self, name: str, version: str) -> RegisteredVersion | None:
        if self.error:
            raise self.error
        return next((found for found, _ in self._all(name) if found.version == version), None)

    def download(self, version: RegisteredVersion, directory: Path) -> None:
        self.downloads += 1
        if version.name in self.slow:
            assert self.slow[version.name].wait(30)
        directories = [path for found, path in self._all(version.name) if found.version == version.version]
        shutil.copytree(directories[0], directory, dirs_exist_ok=True, symlinks=True)

    def _of(self, alias: str) -> dict[str, tuple[RegisteredVersion, Path]]:
        return {"champion": self.champions, "challenger": self.challengers}[alias]

    def _all(self, name: str) -> list[tuple[RegisteredVersion, Path]]:
        return [held[name] for held in (self.champions, self.challengers) if name in held]

    def close(self) -> None:
        self.closed = True
        for event in self.slow.values():
            event.set()


@dataclass
class Running:
    """A server in this process: its client, and what stands behind it."""

    client: httpx.Client
    catalog: Catalog
    app: Any
    loop: asyncio.AbstractEventLoop

    def call(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Await something in the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def metric(self, line: str) -> float:
        """The value of one series, 0 if there is none."""
        for found in self.client.get("/metrics").text.splitlines():
            if found.startswith(line + " "):
                return float(found.rpartition(" ")[2])
        return 0.0

    def wait_until(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        """Wait for something that the watcher does."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come to pass"
            time.sleep(0.01)


@pytest.fixture(scope="session")
def make_bundle(tmp_path_factory: pytest.TempPathFactory) -> MakeBundle:
    """Bundles by their properties, each written once; who alters one copies it first."""
    made: dict[str, Path] = {}

    def make(**properties: Any) -> Path:
        key = json.dumps(properties, sort_keys=True)
        if key not in made:
            made[key] = write_bundle(tmp_path_factory.mktemp("bundle") / "bundle", **properties)
        return made[key]

    return make


@contextmanager
def _serving(
    *,
    registry: MemoryRegistry | None = None,
    bundles: dict[str, Path] | None = None,
    sources: dict[str, Source] | None = None,
    canary_share: float = 0.0,
    **settings: Any,
) -> Iterator[Running]:
    names = settings.pop("models", tuple(bundles or sources or ("m",)))
    metrics, catalog = Metrics(), Catalog(names, canary_share=canary_share)
    queue = settings.pop("max_queue", 256)
    require_verdict = settings.pop("require_verdict", False)
    for name, directory in (bundles or {}).items():
        served = Served(name, BUNDLE_VERSION, make_predictor(read_bundle(directory), queue))
        catalog.slots[name].swap(served)
        metrics.models.model_served(name, served.version, served.verdict)
    canaries: dict[str, Source] = {}
    if registry is not None:
        sources = {name: AliasSource(registry, name, "champion") for name in names}
        canaries = {name: AliasSource(registry, name, "challenger") for name in names if canary_share}
    watcher = sources and Watcher(
        sources,
        catalog,
        metrics,
        make_predictor,
        canaries=canaries,
        poll_seconds=0.02,
        require_verdict=require_verdict,
    )
    limits = Settings(models=names, **settings)
    app = create_app(catalog, metrics, limits, watcher)
    with _listening(app, limits) as (loop, url), httpx.Client(base_url=url, timeout=20, trust_env=False) as client:
        yield Running(client, catalog, app, loop)


@contextmanager
def _listening(app: Any, settings: Settings) -> Iterator[tuple[asyncio.AbstractEventLoop, str]]:
    """uvicorn in a thread, on a free port of loopback."""
    config = configuration(app, settings)
    server = uvicorn.Server(config)
    loops: list[asyncio.AbstractEventLoop] = []

    async def run(listener: socket.socket) -> None:
        loops.append(asyncio.get_running_loop())
        await server.serve([listener])

    def work() -> None:
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(run(listener))

    with bind("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=work)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.005)
        try:
            yield loops[0], f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="session")
def serving() -> Callable[..., AbstractContextManager[Running]]:
    """Starts a server in this process."""
    return _serving


@pytest.fixture(scope="session")
def gan(make_bundle: MakeBundle) -> Iterator[Running]:
    """A server of one unconditional generator ``m`` and one of vectors ``v``; tests only read from it."""
    with _serving(
        bundles={"m": make_bundle(), "v": make_bundle(kind="vector"), "c": make_bundle(conditional=True)},
        max_body_bytes=200_000,
        max_images=64,
    ) as running:
        yield running


@pytest.fixture(scope="session")
def friendly(make_bundle: MakeBundle) -> Iterator[Running]:
    """A server of every kind: a GAN ``m``, one of vectors ``v``, one of classes ``c``, a VAE and an AE."""
    bundles = {
        "m": make_bundle(channels=3),
        "v": make_bundle(kind="vector"),
        "c": make_bundle(conditional=True),
        "vae": make_bundle(family="vae", channels=3, conditional=True),
        "ae": make_bundle(family="ae"),
    }
    with _serving(bundles=bundles, max_images=64, max_body_bytes=200_000, max_picture_pixels=250_000) as running:
        yield running


@pytest.fixture
def registry() -> MemoryRegistry:
    """A registry in memory, empty."""
    return MemoryRegistry()


@pytest.fixture(scope="session")
def run_raw() -> Callable[..., list[np.ndarray]]:
    """onnxruntime without a server."""
    return raw_run


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's credentials, and nobody's place."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name == "MLFLOW_S3_ENDPOINT_URL":
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """An S3 server on loopback that holds its objects in memory."""
    from tests.components.storage.server import running_s3

    with running_s3() as url:
        yield url


@dataclass
class Bucket:
    """The bucket ``models`` of a server, by a client of another make."""

    client: Any

    def upload(self, directory: Path, prefix: str) -> None:
        """As an exporter does: the signature last."""
        for path in sorted(directory.iterdir(), key=lambda path: path.name == "signature.json"):
            self.client.put_object(Bucket="models", Key=f"{prefix}{path.name}", Body=path.read_bytes())


@pytest.fixture
def s3(s3_url: str, no_aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket, and the environment in which it is found."""
    from tests.components.storage.server import client as direct

    environment = {"AWS_ENDPOINT_URL": s3_url, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    for name, value in (environment | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}).items():
        monkeypatch.setenv(name, value)
    client = direct(s3_url)
    client.create_bucket(Bucket="models")
    yield Bucket(client)
    for found in client.list_objects_v2(Bucket="models").get("Contents", []):
        client.delete_object(Bucket="models", Key=found["Key"])
    client.close()
