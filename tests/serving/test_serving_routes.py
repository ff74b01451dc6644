"""Protocol, images, errors, metrics and the page."""

from __future__ import annotations

import asyncio
import hashlib
import io
import zipfile
from email import message_from_bytes
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from serving.predict.latents import standard_normal_latents


def picture(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def test_the_protocol_describes_server_and_model(gan: Any) -> None:
    get = gan.client.get
    assert get("/v2").json()["name"] == "ganvas"
    assert get("/v2/health/live").json() == {"live": True}
    assert get("/v2/health/ready").json() == {"ready": True}
    for path in ("/v2/models/c", "/v2/models/c/versions/bundle"):
        metadata = get(path).json()
        assert (metadata["name"], metadata["versions"]) == ("c", ["bundle"])
        assert {"name": "latent", "datatype": "FP32", "shape": [-1, 6]} in metadata["inputs"]
        assert {"name": "label", "datatype": "INT64", "shape": [-1]} in metadata["inputs"]
        assert {"name": "pixels", "datatype": "UINT8", "shape": [-1, 8, 8, 1]} in metadata["outputs"]
        assert get(path + "/ready").json() == {"name": "c", "ready": True}
    for body in (b"", b"{}", b'{"ready": true}'):
        index = gan.client.post("/v2/repository/index", content=body).json()
        assert {"name": "m", "version": "bundle", "state": "READY", "reason": ""} in index
    assert gan.client.post("/v2/repository/index", content=b'{"ready": 1}').status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v2/", 404),
        ("GET", "/v2/models", 404),
        ("GET", "/v2/models/unknown", 404),
        ("GET", "/v2/models/unknown/ready", 404),
        ("GET", "/v2/models/m/versions/2", 404),
        ("POST", "/v2/models/unknown/infer", 404),
        ("POST", "/v2/models/m/versions/2/infer", 404),
        ("GET", "/v1/models/unknown/images", 404),
        ("GET", "/v2/models/m/infer", 405),
        ("POST", "/v2/health/live", 405),
        ("DELETE", "/v1/models/m/images", 405),
        ("GET", "/v2/repository/index", 405),
    ],
)
def test_errors_are_json_whatever_they_are(gan: Any, method: str, path: str, status: int) -> None:
    answer = gan.client.request(method, path)
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}
    assert ("allow" in answer.headers) == (status == 405)


def test_a_grid_holds_the_samples_of_the_seed(gan: Any, make_bundle: Any, run_raw: Any) -> None:
    model = (make_bundle() / "generator.onnx").read_bytes()
    (pixels,) = run_raw(model, {"latent": standard_normal_latents(11, 16, 6)}, ["pixels"])
    answer = gan.client.get("/v1/models/m/images?seed=11")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["ganvas-model-version"] == "bundle"
    assert answer.headers["ganvas-model-verdict"] == "missing"
    found = picture(answer.content)
    assert found.shape == (32, 32)
    for index in range(16):
        row, column = divmod(index, 4)
        cell = found[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8]
        np.testing.assert_array_equal(cell, pixels[index, :, :, 0])
    one = picture(gan.client.get("/v1/models/m/images?seed=11&n=1").content)
    np.testing.assert_array_equal(one, pixels[0, :, :, 0])
    array = np.load(io.BytesIO(gan.client.get("/v1/models/m/images?seed=11&format=npy").content))
    np.testing.assert_array_equal(array, pixels)


@pytest.mark.parametrize(("n", "size"), [(1, (8, 8)), (2, (16, 8)), (3, (16, 16)), (5, (24, 16)), (50, (64, 56))])
def test_a_grid_is_near_square(gan: Any, n: int, size: tuple[int, int]) -> None:
    assert Image.open(io.BytesIO(gan.client.get(f"/v1/models/m/images?n={n}").content)).size == size


@pytest.mark.parametrize("file_format", ["png", "webp", "jpeg"])
def test_formats_and_layouts_hold_the_same_pictures(gan: Any, file_format: str) -> None:
    url = f"/v1/models/m/images?seed=3&n=3&format={file_format}"
    expected = np.load(io.BytesIO(gan.client.get("/v1/models/m/images?seed=3&n=3&format=npy").content))
    answer = gan.client.get(url)
    assert answer.headers["content-type"] == f"image/{file_format}"
    assert Image.open(io.BytesIO(answer.content)).format == file_format.upper()
    archive = zipfile.ZipFile(io.BytesIO(gan.client.get(url + "&layout=zip").content))
    files = [archive.read(name) for name in archive.namelist()]
    answer = gan.client.get(url + "&layout=multipart")
    message = message_from_bytes(f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode() + answer.content)
    parts = [part.get_payload(decode=True) for part in message.get_payload()]  # type: ignore[union-attr]
    assert parts == files
    for content, pixels in zip(files, expected, strict=True):
        found = picture(content).astype(int)
        found = found[..., 0] if found.ndim == 3 else found
        np.testing.assert_allclose(found, pixels[..., 0].astype(int), atol=40 if file_format == "jpeg" else 0)


def test_a_label_chooses_the_class_by_name_or_number(gan: Any, make_bundle: Any, run_raw: Any) -> None:
    latent = standard_normal_latents(0, 4, 6)
    model = (make_bundle(conditional=True) / "generator.onnx").read_bytes()
    # The class named "0" has the number 2: a name wins over a number.
    for query, label in [
        ("&label=dog", [1] * 4),
        ("&label=1", [1] * 4),
        ("&label=0", [2] * 4),
        ("", [0, 1, 2, 0]),
    ]:
        (expected,) = run_raw(model, {"latent": latent, "label": np.array(label)}, ["pixels"])
        answer = gan.client.get(f"/v1/models/c/images?n=4&format=npy{query}")
        np.testing.assert_array_equal(np.load(io.BytesIO(answer.content)), expected)


def test_vectors_come_as_npy(gan: Any, make_bundle: Any, run_raw: Any) -> None:
    model = (make_bundle(kind="vector") / "generator.onnx").read_bytes()
    (expected,) = run_raw(model, {"latent": standard_normal_latents(1, 40, 6)}, ["sample"])
    found = np.load(io.BytesIO(gan.client.get("/v1/models/v/images?n=40&seed=1&format=npy").content))
    np.testing.assert_array_equal(found, expected)
    for query in ("", "?format=png", "?format=webp"):
        answer = gan.client.get(f"/v1/models/v/images{query}")
        assert answer.status_code == 400
        assert "format=npy" in answer.json()["error"]


@pytest.mark.parametrize(
    "query",
    [
        "n=0",
        "n=65",
        "n=-1",
        "n=",
        "n=1.0",
        "n=%EF%BC%91",
        "n=1&n=2",
        "seed=-1",
        "seed=18446744073709551616",
        "seed=x",
        "seed=" + "9" * 5000,
        "label=1",
        "format=gif",
        "format=PNG",
        "layout=rows",
        "count=3",
    ],
)
def test_a_wrong_query_gets_a_400(gan: Any, query: str) -> None:
    answer = gan.client.get(f"/v1/models/m/images?{query}")
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize("label", ["3", "-1", "bird", ""])
def test_an_unknown_class_gets_a_400(gan: Any, label: str) -> None:
    assert gan.client.get(f"/v1/models/c/images?label={label}").status_code == 400


def test_one_seed_gives_one_hash_at_any_concurrency(serving: Any, make_bundle: Any) -> None:
    async def hashes(app: Any, seeds: list[int]) -> dict[int, set[str]]:
        found: dict[int, set[str]] = {}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:

            async def ask(seed: int) -> None:
                answer = await client.get(f"/v1/models/m/images?n={1 + seed % 7}&seed={seed}")
                assert answer.status_code == 200
                found.setdefault(seed, set()).add(hashlib.sha256(answer.content).hexdigest())

            await asyncio.gather(*(ask(seed) for seed in seeds))
        return found

    with serving(bundles={"m": make_bundle()}) as running:
        alone = {
            seed: hashlib.sha256(
                running.client.get(f"/v1/models/m/images?n={1 + seed % 7}&seed={seed}").content
            ).hexdigest()
            for seed in range(12)
        }
    with serving(bundles={"m": make_bundle()}) as running:
        together = asyncio.run(hashes(running.app, list(range(12)) * 8))
    assert together == {seed: {digest} for seed, digest in alone.items()}


def test_metrics_tell_routes_versions_and_verdicts(gan: Any) -> None:
    series = 'ganvas_serve_requests_total{route="/v1/models/{model}/images",status="200"}'
    before = gan.metric(series)
    gan.client.get("/v1/models/m/images?n=1")
    gan.client.get("/no/such/route")
    assert gan.metric(series) == before + 1
    assert gan.metric('ganvas_serve_requests_total{route="unmatched",status="404"}') >= 1
    assert gan.metric(series.replace("requests_total", "request_seconds_count")) == before + 1
    assert gan.metric('ganvas_serve_model_version_info{model="m",version="bundle"}') == 1
    assert gan.metric('ganvas_serve_model_verdict_passed{model="m"}') == 0
