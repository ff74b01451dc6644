"""Truncation, interpolation, neighbours, encoding and reconstruction over HTTP."""

from __future__ import annotations

import io
import json
import shutil
import socket
import threading
import zipfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from serving.errors import UsageError
from serving.pictures.reading import read_picture
from serving.predict.latents import standard_normal_latents
from serving.predict.space import path_between
from serving.settings import read_settings

Z = 6


def npy(answer: httpx.Response) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    return np.asarray(np.load(io.BytesIO(answer.content)))


def png(side: int = 30, seed: int = 0) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side + 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def get(server: Any, path: str) -> np.ndarray:
    return npy(server.client.get(f"/v1/models/{path}{'&' if '?' in path else '?'}format=npy"))


def post(server: Any, path: str, document: object) -> httpx.Response:
    answer: httpx.Response = server.client.post(f"/v1/models/{path}", content=json.dumps(document).encode())
    return answer


def pixels_of(run_raw: Any, directory: Any, latents: np.ndarray, label: int | None = None) -> np.ndarray:
    sampler = "generator.onnx" if (directory / "generator.onnx").exists() else "decoder.onnx"
    inputs: dict[str, Any] = {"latent": latents}
    if label is not None:
        inputs["label"] = np.full(len(latents), label)
    (found,) = run_raw((directory / sampler).read_bytes(), inputs, ["pixels"])
    return np.asarray(found)


# -- truncation ----------------------------------------------------------------------------------------


def test_a_truncation_scales_the_latents(friendly: Any, make_bundle: Any, run_raw: Any) -> None:
    latents = standard_normal_latents(4, 9, Z)
    expected = pixels_of(run_raw, make_bundle(channels=3), (latents.astype(np.float64) * 0.3).astype(np.float32))
    np.testing.assert_array_equal(get(friendly, "m/images?n=9&seed=4&truncation=0.3"), expected)


@pytest.mark.parametrize("model", ["m", "c", "vae", "ae"])
def test_a_truncation_of_one_changes_no_byte(friendly: Any, model: str) -> None:
    url = f"/v1/models/{model}/images?n=5&seed=2"
    plain = friendly.client.get(url).content
    for text in ("1", "1.0", "1.000"):
        assert friendly.client.get(f"{url}&truncation={text}").content == plain
    assert friendly.client.get(f"{url}&truncation=0.99999").status_code == 200
    assert friendly.client.get(f"{url}&truncation=0.5").content != plain


@pytest.mark.parametrize("text", ["0", "0.0", "1.01", "-0.5", "1e-1", "nan", "", ".5", "0,5", "+1", "½", "1" * 300])
def test_a_wrong_truncation_is_refused(friendly: Any, text: str) -> None:
    answer = friendly.client.get("/v1/models/m/images", params={"truncation": text})
    assert answer.status_code == 400 and set(answer.json()) == {"error"}


# -- interpolation -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["spherical", "linear"])
def test_a_path_runs_between_the_pictures_of_its_seeds(
    friendly: Any, make_bundle: Any, run_raw: Any, path: str
) -> None:
    start, end = standard_normal_latents(3, 1, Z)[0], standard_normal_latents(8, 1, Z, first_index=2)[0]
    expected = pixels_of(run_raw, make_bundle(channels=3), path_between(start, end, 30, path))  # type: ignore[arg-type]
    found = get(friendly, f"m/interpolate?from=3&to=8&to_index=2&steps=30&path={path}")
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found[0], get(friendly, "m/images?seed=3&n=1")[0])
    np.testing.assert_array_equal(found[-1], get(friendly, "m/images?seed=8&n=3")[2])
    by_latents = post(
        friendly, f"m/interpolate?steps=30&format=npy&path={path}", {"from": start.tolist(), "to": end.tolist()}
    )
    np.testing.assert_array_equal(npy(by_latents), expected)


def test_a_path_stays_in_the_class_of_its_start(friendly: Any) -> None:
    found = get(friendly, "c/interpolate?from=1&to=1&from_index=4&to_index=7")
    np.testing.assert_array_equal(found[[0, -1]], get(friendly, "c/images?seed=1&n=8&label=1")[[4, 7]])
    dogs = get(friendly, "c/interpolate?from=1&to=2&label=dog")
    np.testing.assert_array_equal(dogs[0], get(friendly, "c/images?seed=1&n=1&label=dog")[0])
    zeros = {"from": [0.0] * Z, "to": [1] * Z}
    np.testing.assert_array_equal(
        npy(post(friendly, "c/interpolate?format=npy", zeros)),
        npy(post(friendly, "c/interpolate?format=npy&label=cat", zeros)),
    )


def test_paths_have_the_formats_and_layouts_of_images(friendly: Any) -> None:
    url = "/v1/models/m/interpolate?from=0&to=1&steps=4"
    picture = friendly.client.get(url)
    assert picture.headers["content-type"] == "image/png"
    assert picture.headers["ganvas-model-version"] == "bundle"
    assert picture.headers["cache-control"] == "no-store"
    assert Image.open(io.BytesIO(picture.content)).size == (16, 16)
    archive = zipfile.ZipFile(io.BytesIO(friendly.client.get(url + "&layout=zip&format=webp").content))
    assert archive.namelist() == [f"0000{index}.webp" for index in range(4)]
    assert friendly.client.get(url + "&layout=multipart").headers["content-type"].startswith("multipart/mixed")
    assert get(friendly, "v/interpolate?from=0&to=1").shape == (8, 3)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "from=1",
        "to=1",
        "from=1&to=x",
        "from=1&to=2&steps=1",
        "from=1&to=2&steps=65",
        "from=1&to=2&path=straight",
        "from=1&to=2&label=1",
        "from=1&to=2&from_index=9007199254740992",
        "from=1&from=2&to=2",
        "from=1&to=2&seed=3",
        "from=1&to=2&layout=pair",
        "from=18446744073709551616&to=2",
    ],
)
def test_a_wrong_path_is_refused(friendly: Any, query: str) -> None:
    answer = friendly.client.get(f"/v1/models/m/interpolate?{query}")
    assert answer.status_code == 400 and set(answer.json()) == {"error"}


GOOD = [0.5] * Z
WRONG_LATENTS: list[object] = [
    None, 3, "x", [], GOOD[:-1], [*GOOD, 1], [*GOOD[1:], "1"], [*GOOD[1:], True], [*GOOD[1:], None],
    [*GOOD[1:], 1e39], [*GOOD[1:], [1]], [GOOD], [*GOOD[1:], 10**400], {"0": 1},
]  # fmt: skip


@pytest.mark.parametrize("latent", WRONG_LATENTS)
def test_a_wrong_latent_is_refused(friendly: Any, latent: object) -> None:
    for path, document in (
        ("m/interpolate", {"from": GOOD, "to": latent}),
        ("m/interpolate", {"from": latent, "to": GOOD}),
        ("m/neighbours", {"latent": latent}),
    ):
        answer = post(friendly, path, document)
        assert answer.status_code == 400 and set(answer.json()) == {"error"}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{", b"\xff", b'{"from": [1]}', b"[" * 5000, b'{"to": NaN}', b'{"x": 1}']
)
def test_a_wrong_body_is_refused(friendly: Any, body: bytes) -> None:
    for path in ("interpolate", "neighbours"):
        answer = friendly.client.post(f"/v1/models/m/{path}", content=body)
        assert answer.status_code == 400 and set(answer.json()) == {"error"}
    assert friendly.client.post("/v1/models/m/interpolate", content=bytes(200_001)).status_code == 413


# -- neighbours ----------------------------------------------------------------------------------------


def test_neighbours_by_seed_and_by_latent_are_one(friendly: Any, make_bundle: Any, run_raw: Any) -> None:
    latent = standard_normal_latents(9, 1, Z, first_index=5)[0]
    noise = standard_normal_latents(9, 7, Z, first_index=6)
    angle = 0.4 * np.pi / 2
    mixed = np.cos(angle) * latent.astype(np.float64) + np.sin(angle) * noise
    expected = pixels_of(run_raw, make_bundle(channels=3), mixed.astype(np.float32))
    np.testing.assert_array_equal(get(friendly, "m/neighbours?seed=9&index=5&n=7&radius=0.4"), expected)
    for document in ({"seed": 9, "index": 5}, {"seed": 9, "index": 5, "latent": latent.tolist()}):
        answer = post(friendly, "m/neighbours?n=7&radius=0.4&format=npy", document)
        np.testing.assert_array_equal(npy(answer), expected)
    # A whole quarter turn is the noise itself.
    np.testing.assert_array_equal(
        get(friendly, "m/neighbours?seed=9&index=5&n=7&radius=1"), get(friendly, "m/images?seed=9&n=13")[6:]
    )


def test_neighbours_are_of_the_class_of_their_latent(friendly: Any) -> None:
    found = get(friendly, "c/neighbours?seed=9&index=4&n=3&radius=1")
    np.testing.assert_array_equal(found, get(friendly, "c/images?seed=9&n=8&label=1")[5:])


@pytest.mark.parametrize("query", ["radius=0", "radius=1.1", "n=65", "n=0", "index=-1", "steps=3", "label=1"])
def test_wrong_neighbours_are_refused(friendly: Any, query: str) -> None:
    assert friendly.client.get(f"/v1/models/m/neighbours?{query}").status_code == 400


@pytest.mark.parametrize("document", [{"seed": -1}, {"seed": 1.0}, {"seed": True}, {"index": 2**53}, {"seed": "1"}])
def test_a_wrong_place_is_refused(friendly: Any, document: object) -> None:
    assert post(friendly, "m/neighbours", document).status_code == 400


# -- pictures ------------------------------------------------------------------------------------------


def encoded(run_raw: Any, directory: Any, content: bytes, channels: int, names: list[str]) -> list[np.ndarray]:
    pixels = read_picture(content, (channels, 8, 8), 1 << 20)
    return list(run_raw((directory / "encoder.onnx").read_bytes(), {"pixels": pixels[None]}, names))


def test_a_vae_gives_mean_and_log_variance(friendly: Any, make_bundle: Any, run_raw: Any) -> None:
    directory = make_bundle(family="vae", channels=3, conditional=True)
    mean, log_variance = encoded(run_raw, directory, png(), 3, ["mean", "log_variance"])
    raw = friendly.client.post("/v1/models/vae/encode", content=png())
    assert raw.headers["ganvas-model-version"] == "bundle"
    form = friendly.client.post("/v1/models/vae/encode", files={"file": ("a.gif", png(), "image/gif")})
    for answer in (raw, form):
        document = answer.json()
        assert set(document) == {"model_name", "model_version", "mean", "log_variance"}
        np.testing.assert_allclose(document["mean"], mean[0], rtol=1e-6)
        np.testing.assert_allclose(document["log_variance"], log_variance[0], rtol=1e-6)


def test_an_autoencoder_gives_a_code(friendly: Any) -> None:
    document = friendly.client.post("/v1/models/ae/encode", content=png()).json()
    assert set(document) == {"model_name", "model_version", "mean"}
    assert len(document["mean"]) == Z


def test_a_reconstruction_is_the_decoded_mean(friendly: Any, make_bundle: Any, run_raw: Any) -> None:
    directory = make_bundle(family="vae", channels=3, conditional=True)
    (mean,) = encoded(run_raw, directory, png(), 3, ["mean"])
    for query, label in (("", 0), ("&label=dog", 1)):
        expected = pixels_of(run_raw, directory, mean, label)
        url = f"/v1/models/vae/reconstruct?format=npy{query}"
        np.testing.assert_array_equal(npy(friendly.client.post(url, content=png())), expected)
        pair = npy(friendly.client.post(url + "&layout=pair", content=png()))
        np.testing.assert_array_equal(pair[1:], expected)
        np.testing.assert_array_equal(pair[0], read_picture(png(), (3, 8, 8), 1 << 20))
    picture = friendly.client.post("/v1/models/ae/reconstruct?layout=pair&format=webp", content=png())
    assert picture.headers["content-type"] == "image/webp"
    assert Image.open(io.BytesIO(picture.content)).size == (16, 8)


def test_a_picture_is_fitted_as_the_data_was(serving: Any, make_bundle: Any, tmp_path: Path) -> None:
    directory = tmp_path / "padded"
    shutil.copytree(make_bundle(family="ae", channels=3), directory)
    document = json.loads((directory / "signature.json").read_text())
    assert "fit" not in document["sample"], "as bundles from before it was written"
    document["sample"]["fit"] = "pad"
    (directory / "signature.json").write_text(json.dumps(document))
    bundles = {"padded": directory, "cropped": make_bundle(family="ae", channels=3)}
    with serving(bundles=bundles) as running:
        seen = {}
        for model in bundles:
            url = f"/v1/models/{model}/reconstruct?layout=pair&format=npy"
            seen[model] = npy(running.client.post(url, content=png()))[0]
        np.testing.assert_array_equal(seen["padded"], read_picture(png(), (3, 8, 8), 1 << 20, "pad"))
        np.testing.assert_array_equal(seen["cropped"], read_picture(png(), (3, 8, 8), 1 << 20))
        assert not np.array_equal(seen["padded"], seen["cropped"])
        page = running.client.get("/").text
        assert "its border is repeated to a square" in page and "its centre square is taken" in page


def test_a_picture_of_the_model_has_its_size_kept(friendly: Any) -> None:
    """What the decoder gives goes into the encoder as it is."""
    sample = friendly.client.get("/v1/models/vae/images?n=1").content
    pair = npy(friendly.client.post("/v1/models/vae/reconstruct?layout=pair&format=npy", content=sample))
    np.testing.assert_array_equal(pair[0], get(friendly, "vae/images?n=1")[0])


@pytest.mark.parametrize("route", ["encode", "reconstruct"])
@pytest.mark.parametrize(
    ("model", "body", "status"),
    [
        ("vae", b"", 400),
        ("vae", b"GIF89a" + bytes(30), 415),
        ("vae", b'{"a": 1}', 415),
        ("vae", b"\x89PNG\r\n\x1a\n", 400),
        ("vae", b"\xff\xd8\xff", 400),
        ("vae", b"RIFF\0\0\0\0WEBP", 400),
        ("vae", png()[:200], 400),
        ("vae", png(500), 413),
        ("vae", bytes(200_001), 413),
        ("m", png(), 400),
        ("v", png(), 400),
        ("nothing", png(), 404),
    ],
)
def test_what_is_no_picture_is_refused(friendly: Any, route: str, model: str, body: bytes, status: int) -> None:
    answer = friendly.client.post(f"/v1/models/{model}/{route}", content=body)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize("query", ["layout=grid", "n=1", "label=bird", "format=gif", "seed=1"])
def test_a_wrong_reconstruction_is_refused(friendly: Any, query: str) -> None:
    assert friendly.client.post(f"/v1/models/vae/reconstruct?{query}", content=png()).status_code == 400
    assert friendly.client.post(f"/v1/models/vae/encode?{query}", content=png()).status_code == 400


# -- limits --------------------------------------------------------------------------------------------


def test_all_of_them_take_a_place_and_leave_with_their_client(serving: Any, make_bundle: Any) -> None:
    """While the only place is taken the others are told to come back; it is free when the client goes."""
    opened = threading.Event()
    with serving(bundles={"vae": make_bundle(family="vae", channels=3)}, max_requests=1) as running:
        batcher = running.catalog.slots["vae"].current.predictor._batcher
        run, begun = batcher._run, threading.Event()

        def wait(*arguments: Any) -> Any:
            begun.set()
            assert opened.wait(20)
            return run(*arguments)

        batcher._run = wait
        batcher._is_short = lambda graph, rows: False  # waiting would stop the event loop
        try:
            url = running.client.base_url
            client = socket.create_connection((url.host, url.port), timeout=10)
            client.sendall(b"GET /v1/models/vae/interpolate?from=0&to=1 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert begun.wait(20)
            for answer in (
                running.client.get("/v1/models/vae/interpolate?from=0&to=1"),
                running.client.get("/v1/models/vae/neighbours"),
                running.client.post("/v1/models/vae/encode", content=png()),
                running.client.post("/v1/models/vae/reconstruct", content=png()),
                post(running, "vae/interpolate", {"from": GOOD, "to": GOOD}),
            ):
                assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
            client.close()
            gone = 'ganvas_serve_requests_total{route="/v1/models/{model}/interpolate",status="499"}'
            running.wait_until(lambda: running.metric(gone) == 1)
            assert running.catalog.slots["vae"].current._leases == 0
        finally:
            opened.set()
        assert running.client.get("/v1/models/vae/neighbours").status_code == 200


# -- other origins -------------------------------------------------------------------------------------

HERE, ELSEWHERE = "https://gallery.example:8443", "https://other.example"


def test_no_other_origin_reads_an_answer_unless_it_is_named(friendly: Any, serving: Any, make_bundle: Any) -> None:
    for headers in ({"origin": HERE}, {"origin": HERE, "access-control-request-method": "GET"}):
        for method in ("GET", "OPTIONS"):
            answer = friendly.client.request(method, "/v1/models/m/images", headers=headers)
            assert not [name for name in answer.headers if name.startswith("access-control")]
    with serving(bundles={"m": make_bundle()}, cors_origins=f"{HERE}, http://localhost:3000") as running:
        first = {"access-control-request-method": "POST"}
        asked = running.client.options("/v1/models/m/interpolate", headers=first | {"origin": HERE})
        assert asked.status_code == 204
        assert asked.headers["access-control-allow-methods"] == "GET, POST"
        for path, status in (("/v1/models/m/images", 200), ("/v1/models/m/images?n=0", 400), ("/nothing", 404)):
            allowed = running.client.get(path, headers={"origin": HERE})
            assert allowed.status_code == status
            assert allowed.headers["access-control-allow-origin"] == HERE
            assert "ganvas-model-version" in allowed.headers["access-control-expose-headers"]
            assert "origin" in allowed.headers["vary"].lower()
            for origin in (ELSEWHERE, HERE + "0", "null", HERE.upper()):
                other = running.client.get(path, headers={"origin": origin})
                assert "access-control-allow-origin" not in other.headers
                assert "origin" in other.headers["vary"].lower()
        refused = running.client.options("/v1/models/m/interpolate", headers=first | {"origin": ELSEWHERE})
        assert refused.status_code == 405 and set(refused.json()) == {"error"}


def test_a_page_may_read_why_it_is_refused(serving: Any, make_bundle: Any, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret")
    settings = {"auth_token_file": tmp_path / "token", "max_connections": 1, "cors_origins": HERE}
    with serving(bundles={"m": make_bundle()}, **settings) as running:
        get = running.client.get
        refused = get("/v1/models/m/images", headers={"origin": HERE})
        assert refused.status_code == 401 and "token" in refused.json()["error"]
        assert refused.headers["access-control-allow-origin"] == HERE
        assert "access-control-allow-origin" not in get("/", headers={"origin": ELSEWHERE}).headers
        url = f"{running.client.base_url}/v1/models/m/images"
        surplus = httpx.get(url, headers={"origin": HERE}, trust_env=False)
        assert (surplus.status_code, surplus.headers["access-control-allow-origin"]) == (503, HERE)
        first = {"access-control-request-method": "GET", "origin": HERE}
        asked = running.client.options("/v1/models/m/images", headers=first)
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (204, HERE)
        assert "x-request-id" in asked.headers, "a question beforehand is counted as any other"


@pytest.mark.parametrize("origin", ["*", "https://a.example/", "a.example", "ftp://a", "https://a.example/x", "null"])
def test_what_is_no_origin_is_refused_at_the_start(origin: str) -> None:
    with pytest.raises(UsageError, match="origin"):
        read_settings(models=("m",), cors_origins=origin)
