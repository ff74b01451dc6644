"""Binary tensors, raw bodies, compression: the same numbers as by JSON, and an error for what is none of them."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from isal import isal_zlib

from serving.errors import BodyTooLarge, MalformedRequest
from serving.http.compression import accepted, compress, decompress
from serving.protocol.codec import InferenceRequest, decode_request, encode_response
from serving.protocol.datatypes import DATATYPES

LATENT = np.linspace(-1, 1, 12, dtype=np.float32).reshape(2, 6)
HEADER = "inference-header-content-length"


def entry(value: np.ndarray = LATENT, **changes: Any) -> dict[str, Any]:
    made = {
        "name": "latent",
        "datatype": "FP32",
        "shape": list(value.shape),
        "parameters": {"binary_data_size": value.nbytes},
    } | changes
    return {key: item for key, item in made.items() if item is not ...}


def post(running: Any, document: Any, content: bytes = LATENT.tobytes(), *, model: str = "m", **headers: str) -> Any:
    head = document if isinstance(document, bytes) else json.dumps(document).encode()
    given_headers = {HEADER: str(len(head))} | {name.replace("_", "-"): value for name, value in headers.items()}
    return running.client.post(f"/v2/models/{model}/infer", content=head + content, headers=given_headers)


def read(answer: Any) -> dict[str, np.ndarray]:
    """An answer's tensors, wherever they stand."""
    length = int(answer.headers.get(HEADER, len(answer.content)))
    document, rest = json.loads(answer.content[:length]), answer.content[length:]
    found = {}
    for output in document["outputs"]:
        dtype = DATATYPES[output["datatype"]]
        size = output.get("parameters", {}).get("binary_data_size")
        if size is None:
            found[output["name"]] = np.array(output["data"], dtype=dtype).reshape(output["shape"])
        else:
            found[output["name"]] = np.frombuffer(rest[:size], dtype=dtype).reshape(output["shape"])
            rest = rest[size:]
    assert not rest, "every byte belongs to a tensor"
    return found


def test_binary_and_json_carry_the_same_numbers_in_and_out(gan: Any) -> None:
    by_json = {"name": "latent", "datatype": "FP32", "shape": [2, 6], "data": LATENT.tolist()}
    expected = read(gan.client.post("/v2/models/m/infer", json={"inputs": [by_json]}))
    for binary in (True, False):
        outputs = [{"name": name, "parameters": {"binary_data": binary}} for name in ("pixels", "image")]
        found = read(post(gan, {"inputs": [entry()], "outputs": outputs}))
        assert list(found) == ["pixels", "image"]
        for name, value in found.items():
            np.testing.assert_array_equal(value, expected[name])
    mixed = post(gan, {"inputs": [entry()], "outputs": [{"name": "pixels", "parameters": {"binary_data": True}}]})
    assert mixed.headers["content-type"] == "application/octet-stream"
    every = post(gan, {"inputs": [entry()], "parameters": {"binary_data_output": True}})
    np.testing.assert_array_equal(read(every)["image"], expected["image"])
    plain = post(gan, {"inputs": [entry()]})
    assert plain.headers["content-type"] == "application/json", "binary is what one asks for"
    assert HEADER not in plain.headers


def test_a_raw_body_is_the_one_tensor_of_the_sampler(gan: Any) -> None:
    answer = gan.client.post("/v2/models/m/infer", content=LATENT.tobytes(), headers={HEADER: "0"})
    np.testing.assert_array_equal(read(answer)["image"], read(post(gan, {"inputs": [entry()]}))["image"])
    for content in (b"", LATENT.tobytes()[:-1], b"\0"):
        refused = gan.client.post("/v2/models/m/infer", content=content, headers={HEADER: "0"})
        assert refused.status_code == 400
        assert set(refused.json()) == {"error"}
    conditional = gan.client.post("/v2/models/c/infer", content=LATENT.tobytes(), headers={HEADER: "0"})
    assert conditional.status_code == 400
    assert "label" in conditional.json()["error"]


NOT_FINITE = np.full((2, 6), np.nan, dtype=np.float32)
WRONG: dict[str, Callable[[Any], Any]] = {
    "size too small": lambda gan: post(gan, {"inputs": [entry(parameters={"binary_data_size": 44})]}),
    "size too large": lambda gan: post(gan, {"inputs": [entry(parameters={"binary_data_size": 52})]}),
    "size negative": lambda gan: post(gan, {"inputs": [entry(parameters={"binary_data_size": -48})]}),
    "size zero": lambda gan: post(gan, {"inputs": [entry(parameters={"binary_data_size": 0})]}),
    "size a float": lambda gan: post(gan, {"inputs": [entry(parameters={"binary_data_size": 48.0})]}),
    "size a string": lambda gan: post(gan, {"inputs": [entry(parameters={"binary_data_size": "48"})]}),
    "size true": lambda gan: post(gan, {"inputs": [entry(parameters={"binary_data_size": True})]}),
    "shape of more": lambda gan: post(gan, {"inputs": [entry(shape=[3, 6])]}),
    "shape overflows": lambda gan: post(gan, {"inputs": [entry(shape=[2**62, 4])]}),
    "data as well": lambda gan: post(gan, {"inputs": [entry(data=[1.0] * 12)]}),
    "datatype unknown": lambda gan: post(gan, {"inputs": [entry(datatype="BYTES")]}),
    "no datatype": lambda gan: post(gan, {"inputs": [entry(datatype=...)]}),
    "no shape": lambda gan: post(gan, {"inputs": [entry(shape=...)]}),
    "too few bytes": lambda gan: post(gan, {"inputs": [entry()]}, LATENT.tobytes()[:-1]),
    "no bytes": lambda gan: post(gan, {"inputs": [entry()]}, b""),
    "too many bytes": lambda gan: post(gan, {"inputs": [entry()]}, LATENT.tobytes() + b"\0"),
    "bytes for nobody": lambda gan: post(gan, {"inputs": [entry(parameters=..., data=[1.0] * 12)]}),
    "not finite": lambda gan: post(gan, {"inputs": [entry()]}, NOT_FINITE.tobytes()),
    "infinite": lambda gan: post(gan, {"inputs": [entry()]}, (NOT_FINITE * 0 + np.inf).tobytes()),
    "twice": lambda gan: post(gan, {"inputs": [entry(), entry()]}, LATENT.tobytes() * 2),
    "json length beyond the body": lambda gan: post(gan, {"inputs": [entry()]}, **{HEADER.replace("-", "_"): "99999"}),
    "json length within the json": lambda gan: post(gan, {"inputs": [entry()]}, **{HEADER.replace("-", "_"): "10"}),
    "json length of 13 digits": lambda gan: post(gan, {"inputs": [entry()]}, **{HEADER.replace("-", "_"): "1" * 13}),
    "output wanted as maybe": lambda gan: post(
        gan, {"inputs": [entry()], "outputs": [{"name": "image", "parameters": {"binary_data": "yes"}}]}
    ),
    "all outputs wanted as maybe": lambda gan: post(
        gan, {"inputs": [entry()], "parameters": {"binary_data_output": 1}}
    ),
    "shared memory": lambda gan: post(
        gan, {"inputs": [entry(parameters={"shared_memory_region": "r", "shared_memory_byte_size": 48})]}, b""
    ),
    "shared memory for an output": lambda gan: post(
        gan, {"inputs": [entry()], "outputs": [{"name": "image", "parameters": {"shared_memory_region": "r"}}]}
    ),
    "classification": lambda gan: post(
        gan, {"inputs": [entry()], "outputs": [{"name": "image", "parameters": {"classification": 2}}]}
    ),
    "a label of another type": lambda gan: post(
        gan,
        {"inputs": [entry(), entry(name="label", shape=[2], parameters={"binary_data_size": 8})]},
        LATENT.tobytes() + bytes(8),
        model="c",
    ),
    "a label out of range": lambda gan: post(
        gan,
        {
            "inputs": [
                entry(),
                entry(name="label", datatype="INT64", shape=[2], parameters={"binary_data_size": 16}),
            ]
        },
        LATENT.tobytes() + np.array([0, 3]).tobytes(),
        model="c",
    ),
    "gzip of nothing": lambda gan: post(gan, b"{}", b"", content_encoding="gzip"),
    "gzip cut off": lambda gan: gan.client.post(
        "/v2/models/m/infer", content=gzip.compress(b'{"inputs": []}')[:-4], headers={"content-encoding": "gzip"}
    ),
    "gzip with a tail": lambda gan: gan.client.post(
        "/v2/models/m/infer", content=gzip.compress(b"{}") + b"{}", headers={"content-encoding": "gzip"}
    ),
    "an unknown encoding": lambda gan: post(gan, {"inputs": [entry()]}, content_encoding="zstd"),
}


@pytest.mark.parametrize("ask", WRONG.values(), ids=WRONG)
def test_what_is_wrong_in_binary_gets_a_4xx_and_one_error(gan: Any, ask: Callable[[Any], Any]) -> None:
    answer = ask(gan)
    assert 400 <= answer.status_code < 500, answer.text
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_compression_changes_no_answer(gan: Any, encoding: str) -> None:
    head = json.dumps({"inputs": [entry()]}).encode()
    packed = {"gzip": gzip.compress, "deflate": zlib.compress}[encoding](head + LATENT.tobytes())
    headers = {HEADER: str(len(head)), "content-encoding": encoding, "accept-encoding": encoding}
    answer = gan.client.post("/v2/models/m/infer", content=packed, headers=headers)
    assert answer.headers["content-encoding"] == encoding
    plain = post(gan, {"inputs": [entry()]}, accept_encoding="identity")
    assert "content-encoding" not in plain.headers
    np.testing.assert_array_equal(read(answer)["image"], read(plain)["image"])


def test_tensors_are_compressed_for_who_asks_for_one_encoding_alone(gan: Any) -> None:
    rows = np.tile(LATENT, (4, 1))
    document = {"inputs": [entry(rows)], "parameters": {"binary_data_output": True}}
    asked = post(gan, document, rows.tobytes(), accept_encoding="gzip")
    able = post(gan, document, rows.tobytes(), accept_encoding="gzip, deflate, br")
    assert asked.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in able.headers
    assert asked.content == able.content


def test_little_that_holds_much_is_refused(gan: Any) -> None:
    bomb = gzip.compress(b" " * 5_000_000)
    assert len(bomb) < 10_000
    answer = gan.client.post("/v2/models/m/infer", content=bomb, headers={"content-encoding": "gzip"})
    assert answer.status_code == 413
    assert set(answer.json()) == {"error"}


def test_the_work_grows_as_the_body_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """What zlib leaves of its input it copies, at each step."""
    taken: list[int] = []
    made = isal_zlib.decompressobj

    class Counted:
        def __init__(self, **options: int) -> None:
            self._stream = made(**options)

        def decompress(self, content: bytes, most: int) -> bytes:
            taken.append(len(content))
            return bytes(self._stream.decompress(content, most))

        def __getattr__(self, name: str) -> Any:
            return getattr(self._stream, name)

    content = np.random.default_rng(0).bytes(4 << 20)
    body = compress(content, "gzip")
    monkeypatch.setattr(isal_zlib, "decompressobj", Counted)
    assert decompress(body, "gzip", len(content)) == content
    assert sum(taken) < 3 * len(body)


@given(st.binary(max_size=5000), st.sampled_from(["gzip", "deflate"]))
def test_compression_and_its_inverse(content: bytes, encoding: Any) -> None:
    assert decompress(compress(content, encoding), encoding, len(content)) == content
    if content:
        with pytest.raises(BodyTooLarge):
            decompress(compress(content, encoding), encoding, len(content) - 1)


@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate"]))
def test_any_bytes_are_read_or_refused(content: bytes, encoding: Any) -> None:
    with suppress(MalformedRequest, BodyTooLarge):
        assert len(decompress(content, encoding, 1000)) <= 1000


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None),
        ("identity", None),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("deflate", "deflate"),
        ("deflate, gzip;q=0.5", "gzip"),
        ("gzip;q=0, deflate", "deflate"),
        ("br", None),
        ("*", "gzip"),
        ("gzip;q=0, *", None),
        ("gzip;q=x", None),
        (";;;,,,", None),
    ],
)
def test_an_answer_has_an_encoding_that_was_accepted(header: str, expected: str | None) -> None:
    assert accepted(header) == expected


TENSORS = st.sampled_from(sorted(DATATYPES)).flatmap(
    lambda name: arrays.arrays(
        DATATYPES[name],
        arrays.array_shapes(min_dims=1, max_dims=4, max_side=5),
        elements={"allow_nan": False, "allow_infinity": False} if name.startswith("FP") else None,
    )
)


@given(TENSORS, st.booleans())
def test_what_is_encoded_is_decoded(value: np.ndarray, binary: bool) -> None:
    asked = InferenceRequest("7", {}, {"x": binary})
    answer = encode_response("m", "1", asked, {"x": value})
    length = answer.header_length
    document = json.loads(answer.body[:length])
    document["inputs"] = document.pop("outputs")
    head = json.dumps(document).encode()
    rest = b"" if length is None else answer.body[length:]
    found = decode_request(head + rest, None if length is None else len(head))
    assert found.inputs["x"].dtype == value.dtype
    np.testing.assert_array_equal(found.inputs["x"], value)
    assert found.id == "7"


@given(st.binary(max_size=400), st.one_of(st.none(), st.integers(0, 500)))
def test_any_bytes_are_a_request_or_an_error(content: bytes, length: int | None) -> None:
    with pytest.raises(MalformedRequest):
        decode_request(content, length)
