"""NVIDIA's HTTP client, which knows the protocol and not this server, gets what onnxruntime gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

LATENT = np.linspace(-1, 1, 30, dtype=np.float32).reshape(5, 6)


@pytest.fixture(scope="module")
def http() -> Any:
    import tritonclient.http as http  # late: it brings gevent

    return http


@pytest.fixture(scope="module")
def client(gan: Any, http: Any) -> Iterator[Any]:
    url = gan.client.base_url
    with http.InferenceServerClient(f"{url.host}:{url.port}") as made:
        yield made


def ask(http: Any, *, binary_in: bool = True, rows: np.ndarray = LATENT) -> list[Any]:
    entry = http.InferInput("latent", list(rows.shape), "FP32")
    entry.set_data_from_numpy(rows, binary_data=binary_in)
    return [entry]


def test_it_sees_a_server_and_its_models(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("m")
    assert not client.is_model_ready("nobody")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata("m")
    assert metadata["inputs"] == [{"name": "latent", "datatype": "FP32", "shape": [-1, 6]}]
    index = client.get_model_repository_index()
    assert {entry["name"]: entry["state"] for entry in index} == dict.fromkeys("mvc", "READY")


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_it_infers(
    client: Any, http: Any, make_bundle: Any, run_raw: Any, binary_in: bool, binary_out: bool, compression: str | None
) -> None:
    expected = run_raw((make_bundle() / "generator.onnx").read_bytes(), {"latent": LATENT}, ["image", "pixels"])
    answer = client.infer(
        "m",
        ask(http, binary_in=binary_in),
        outputs=[http.InferRequestedOutput(name, binary_data=binary_out) for name in ("image", "pixels")],
        request_id="a request",
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
    )
    assert answer.get_response()["id"] == "a request"
    for name, value in zip(("image", "pixels"), expected, strict=True):
        np.testing.assert_array_equal(answer.as_numpy(name), value)


def test_it_reads_an_error_as_one(client: Any, http: Any) -> None:
    from tritonclient import utils

    for model, rows in (("nobody", LATENT), ("m", LATENT[:, :5])):
        with pytest.raises(utils.InferenceServerException) as raised:
            client.infer(model, ask(http, rows=np.ascontiguousarray(rows)))
        assert raised.value.status() in ("404", "400")
        assert raised.value.message()
