"""Malformed requests: always a 4xx with ``{"error": "..."}``; well-formed ones: what onnxruntime gives."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

ROW = [0.5] * 6


def tensor(**changes: Any) -> dict[str, Any]:
    entry = {"name": "latent", "datatype": "FP32", "shape": [1, 6], "data": ROW} | changes
    return {key: value for key, value in entry.items() if value is not ...}


def request(*entries: Any, **changes: Any) -> bytes:
    return json.dumps({"inputs": list(entries) or [tensor()]} | changes).encode()


LABEL = {"name": "label", "datatype": "INT64", "shape": [1], "data": [1]}
MALFORMED: dict[str, tuple[str, bytes]] = {
    "empty body": ("m", b""),
    "not json": ("m", b"{"),
    "not utf-8": ("m", b'{"id": "\xff"}'),
    "bytes": ("m", bytes(range(256))),
    "a list": ("m", b"[]"),
    "a number": ("m", b"1"),
    "null": ("m", b"null"),
    "deeply nested": ("m", b"[" * 5000 + b"]" * 5000),
    "no inputs": ("m", b"{}"),
    "inputs null": ("m", b'{"inputs": null}'),
    "inputs empty": ("m", b'{"inputs": []}'),
    "inputs an object": ("m", b'{"inputs": {"latent": [1]}}'),
    "input a string": ("m", request("latent")),
    "id a number": ("m", request(id=3)),
    "parameters a list": ("m", request(parameters=[])),
    "no name": ("m", request(tensor(name=...))),
    "name a number": ("m", request(tensor(name=1))),
    "name empty": ("m", request(tensor(name=""))),
    "name unknown": ("m", request(tensor(name="noise"))),
    "name twice": ("m", request(tensor(), tensor())),
    "one input too many": ("m", request(tensor(), LABEL)),
    "label missing": ("c", request()),
    "label too large": ("c", request(tensor(), LABEL | {"data": [3]})),
    "label negative": ("c", request(tensor(), LABEL | {"data": [-1]})),
    "label a float": ("c", request(tensor(), LABEL | {"data": [1.0]})),
    "label of another batch": ("c", request(tensor(), LABEL | {"data": [1, 1], "shape": [2]})),
    "label beyond int64": ("c", request(tensor(), LABEL | {"data": [2**63]})),
    "label of two axes": ("c", request(tensor(), LABEL | {"shape": [1, 1]})),
    "no datatype": ("m", request(tensor(datatype=...))),
    "datatype unknown": ("m", request(tensor(datatype="FLOAT"))),
    "datatype a list": ("m", request(tensor(datatype=["FP32"]))),
    "datatype another": ("m", request(tensor(datatype="FP64"))),
    "no shape": ("m", request(tensor(shape=...))),
    "shape empty": ("m", request(tensor(shape=[]))),
    "shape a number": ("m", request(tensor(shape=6))),
    "shape of floats": ("m", request(tensor(shape=[1.0, 6.0]))),
    "shape of booleans": ("m", request(tensor(shape=[True, 6]))),
    "shape negative": ("m", request(tensor(shape=[-1, -6]))),
    "shape dynamic": ("m", request(tensor(shape=[-1, 6]))),
    "shape huge": ("m", request(tensor(shape=[10**18, 10**18]))),
    "shape huge and empty": ("m", request(tensor(shape=[2**63 - 1, 0], data=[]))),
    "shape beyond any array and empty": ("m", request(tensor(shape=[2**62, 2**62, 0], data=[]))),
    "shape of nine axes": ("m", request(tensor(shape=[1] * 8 + [6]))),
    "shape of another width": ("m", request(tensor(shape=[2, 3]))),
    "shape of one axis": ("m", request(tensor(shape=[6]))),
    "shape of no rows": ("m", request(tensor(shape=[0, 6], data=[]))),
    "no data": ("m", request(tensor(data=...))),
    "data null": ("m", request(tensor(data=None))),
    "data a number": ("m", request(tensor(data=1))),
    "data a string": ("m", request(tensor(data="AAAA"))),
    "data too short": ("m", request(tensor(data=ROW[1:]))),
    "data too long": ("m", request(tensor(data=[*ROW, 1]))),
    "data with null": ("m", request(tensor(data=[None, *ROW[1:]]))),
    "data with a string": ("m", request(tensor(data=["1", *ROW[1:]]))),
    "data with true": ("m", request(tensor(data=[True, *ROW[1:]]))),
    "data with an object": ("m", request(tensor(data=[{}, *ROW[1:]]))),
    "data ragged": ("m", request(tensor(data=[[1, 2, 3, 4], [5, 6]]))),
    "data half nested": ("m", request(tensor(data=[[1, 2, 3], 4, 5, 6]))),
    "data nested otherwise": ("m", request(tensor(data=[[1, 2, 3], [4, 5, 6]]))),
    "data nested too deep": ("m", request(tensor(data=[[[[[[[[[[1]]]]]]]]]]))),
    "data nan": ("m", request(tensor(data=[float("nan"), *ROW[1:]]))),
    "data infinite": (
        "m",
        b'{"inputs": [{"name":"latent","datatype":"FP32","shape":[1,6],"data":[1e999,1,1,1,1,1]}]}',
    ),
    "data beyond float32": ("m", request(tensor(data=[1e39, *ROW[1:]]))),
    "data a giant integer": ("m", request(tensor(data=[10**400, *ROW[1:]]))),
    "binary data announced": ("m", request(tensor(data=..., parameters={"binary_data_size": 24}))),
    "batch too large": ("m", request(tensor(shape=[17, 6], data=ROW * 17))),
    "outputs an object": ("m", request(outputs={})),
    "output a string": ("m", request(outputs=["image"])),
    "output unknown": ("m", request(outputs=[{"name": "sample"}])),
    "output twice": ("m", request(outputs=[{"name": "image"}, {"name": "image"}])),
    "output without name": ("m", request(outputs=[{}])),
    "result not finite": ("v", request(tensor(data=[3e38] * 6))),
    "body too large": ("m", b" " * 200_001),
}


@pytest.mark.parametrize(("model", "body"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_gets_a_4xx_and_one_error(gan: Any, model: str, body: bytes) -> None:
    answer = gan.client.post(f"/v2/models/{model}/infer", content=body)
    assert 400 <= answer.status_code < 500, answer.text
    document = answer.json()
    assert set(document) == {"error"}
    assert document["error"]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["ganvas-model-version"] == "bundle"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-encoding": "br"}, 415),
        ({"content-encoding": "gzip, gzip"}, 415),
        ({"content-encoding": "gzip"}, 400),
        ({"content-encoding": "deflate"}, 400),
        ({"inference-header-content-length": "0"}, 400),
        ({"inference-header-content-length": "-1"}, 400),
        ({"inference-header-content-length": "1e1"}, 400),
        ({"inference-header-content-length": "9999"}, 400),
    ],
)
def test_what_is_not_spoken_is_refused(gan: Any, headers: dict[str, str], status: int) -> None:
    answer = gan.client.post("/v2/models/m/infer", content=request(), headers=headers)
    assert answer.status_code == status
    assert "error" in answer.json()


def test_a_body_in_chunks_is_cut_at_the_limit(gan: Any) -> None:
    taken = []

    def chunks() -> Any:
        for number in range(1000):
            taken.append(number)
            yield b" " * 1000

    answer = gan.client.post("/v2/models/m/infer", content=chunks())
    assert answer.status_code == 413
    assert "error" in answer.json()


@pytest.mark.parametrize("nested", [False, True])
def test_infer_is_what_onnxruntime_gives(gan: Any, make_bundle: Any, run_raw: Any, nested: bool) -> None:
    latent = np.random.Generator(np.random.Philox(key=3)).normal(size=(5, 6)).astype(np.float32)
    data = latent.tolist() if nested else latent.ravel().tolist()
    answer = gan.client.post("/v2/models/m/infer", content=request(tensor(shape=[5, 6], data=data), id="abc")).json()
    expected = run_raw((make_bundle() / "generator.onnx").read_bytes(), {"latent": latent}, ["image", "pixels"])
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("m", "bundle", "abc")
    for output, value, datatype in zip(answer["outputs"], expected, ["FP32", "UINT8"], strict=True):
        assert (output["datatype"], output["shape"]) == (datatype, list(value.shape))
        np.testing.assert_array_equal(np.array(output["data"], dtype=value.dtype).reshape(value.shape), value)


def test_only_the_outputs_that_are_asked_for_come_and_in_that_order(gan: Any) -> None:
    for names in (["pixels"], ["pixels", "image"]):
        body = request(outputs=[{"name": name, "parameters": {"binary_data": False}} for name in names])
        outputs = gan.client.post("/v2/models/m/infer", content=body).json()["outputs"]
        assert [output["name"] for output in outputs] == names


def test_inputs_find_their_graph(serving: Any, make_bundle: Any, run_raw: Any) -> None:
    directory = make_bundle(family="vae", channels=3)
    pixels = np.arange(2 * 8 * 8 * 3, dtype=np.uint32).astype(np.uint8).reshape(2, 8, 8, 3)
    with serving(bundles={"m": directory}) as running:
        entry = {"name": "pixels", "datatype": "UINT8", "shape": list(pixels.shape), "data": pixels.tolist()}
        answer = running.client.post("/v2/models/m/infer", content=request(entry)).json()
        found = {output["name"]: output["data"] for output in answer["outputs"]}
        mean, log_variance = run_raw(
            (directory / "encoder.onnx").read_bytes(), {"pixels": pixels}, ["mean", "log_variance"]
        )
        np.testing.assert_array_equal(np.array(found["mean"], dtype=np.float32), mean.ravel())
        np.testing.assert_array_equal(np.array(found["log_variance"], dtype=np.float32), log_variance.ravel())
        decoded = running.client.post("/v2/models/m/infer", content=request()).json()
        assert [output["name"] for output in decoded["outputs"]] == ["image", "pixels"]
        metadata = running.client.get("/v2/models/m").json()
        assert [tensor["name"] for tensor in metadata["inputs"]] == ["latent", "pixels"] or [
            tensor["name"] for tensor in metadata["inputs"]
        ] == ["pixels", "latent"]
        mixed = running.client.post("/v2/models/m/infer", content=request(tensor(), entry))
        assert mixed.status_code == 400
        entry["data"] = [256] * pixels.size
        assert running.client.post("/v2/models/m/infer", content=request(entry)).status_code == 400
