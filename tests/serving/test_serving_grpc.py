"""gRPC, asked by a client of another house."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import descriptor_pb2
from grpc_tools import protoc
from hypothesis import given
from hypothesis import strategies as st
from tritonclient import grpc as triton
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from serving.catalog import Catalog
from serving.errors import MalformedRequest, RequestError
from serving.grpc.server import GrpcServer
from serving.grpc.status import CODE_OF
from serving.http.failures import STATUS_OF
from serving.metrics import Metrics
from serving.predict.latents import standard_normal_latents
from serving.protocol.datatypes import DATATYPES
from serving.protocol.grpc import messages, tensors

LATENTS = standard_normal_latents(3, 5, 6)


@contextmanager
def grpc_of(running: Any) -> Iterator[str]:
    """gRPC beside a server under test; gives its address."""
    server = GrpcServer(running.app.context, running.app.operations, host="127.0.0.1", port=0)
    running.call(server.start())
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        running.call(server.stop(5))


@contextmanager
def triton_client(address: str) -> Iterator[Any]:
    with triton.InferenceServerClient(address) as client:
        yield client


@pytest.fixture(scope="module")
def address(gan: Any) -> Iterator[str]:
    with grpc_of(gan) as found:
        yield found


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Any]:
    with triton_client(address) as found:
        yield found


@pytest.fixture(scope="module")
def channel(address: str) -> Iterator[grpc.Channel]:
    """For what no client library would send."""
    with grpc.insecure_channel(address) as found:
        yield found


def call(channel: grpc.Channel, method: str, content: bytes, **options: Any) -> tuple[Any, grpc.Call]:
    """The answer's message and the call."""
    ask = channel.unary_unary(f"/{messages.SERVICE}/{method}")
    answer, done = ask.with_call(content, timeout=20, **options)
    return messages.methods()[method][1].FromString(answer), done


def latent_input(values: np.ndarray = LATENTS, name: str = "latent") -> Any:
    found = triton.InferInput(name, list(values.shape), "FP32")
    found.set_data_from_numpy(values)
    return found


def infer_message(**changes: Any) -> Any:
    """A request for one row, with typed contents."""
    fields: dict[str, Any] = {
        "model_name": "v",
        "inputs": [{"name": "latent", "datatype": "FP32", "shape": [1, 6], "contents": {"fp32_contents": [0.5] * 6}}],
    }
    return messages.ModelInferRequest(**{**fields, **changes})


def over_http(gan: Any, model: str, values: np.ndarray, output: str) -> np.ndarray:
    entry = {"name": "latent", "datatype": "FP32", "shape": values.shape, "data": values.ravel().tolist()}
    body = {"inputs": [entry], "outputs": [{"name": output}]}
    (found,) = gan.client.post(f"/v2/models/{model}/infer", json=body).json()["outputs"]
    return np.array(found["data"], dtype=DATATYPES[found["datatype"]]).reshape(found["shape"])


# -- the interface definition ---------------------------------------------------------------------------


def test_the_compiled_definition_is_the_written_one(tmp_path: Path) -> None:
    room = Path(str(files("serving.protocol.grpc")))
    found = tmp_path / "found.binpb"
    assert protoc.main(["protoc", f"-I{room}", f"--descriptor_set_out={found}", "open_inference.proto"]) == 0
    assert found.read_bytes() == (room / "open_inference.binpb").read_bytes()


def _of_message(descriptor: Any) -> dict[str, tuple[int, int, bool]]:
    return {field.name: (field.number, field.type, field.is_repeated) for field in descriptor.fields}


def test_every_field_is_the_published_ones() -> None:
    theirs = service_pb2.DESCRIPTOR.message_types_by_name
    checked = 0

    def compare(own: Any, other: Any) -> None:
        nonlocal checked
        fields, published = _of_message(own), _of_message(other)
        assert fields.items() <= published.items(), own.full_name
        checked += len(fields)
        for nested in own.nested_types:
            compare(nested, other.nested_types_by_name[nested.name])

    for pair in messages.methods().values():
        for own in pair:
            compare(own.DESCRIPTOR, theirs[own.DESCRIPTOR.name])
    assert checked > 40


def test_both_modules_live_in_one_process() -> None:
    own = messages.ModelInferRequest(model_name="m", raw_input_contents=[b"12"])
    other = service_pb2.ModelInferRequest.FromString(own.SerializeToString())
    assert (other.model_name, list(other.raw_input_contents)) == ("m", [b"12"])
    assert own.DESCRIPTOR is not other.DESCRIPTOR
    assert isinstance(descriptor_pb2.FileDescriptorProto(), object)


# -- the methods ----------------------------------------------------------------------------------------


def test_health_and_metadata(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("c")
    assert client.is_model_ready("c", "bundle")
    assert client.get_server_metadata().name == "ganvas"
    found = client.get_model_metadata("c", as_json=True)
    assert found["versions"] == ["bundle"]
    assert {"name": "latent", "datatype": "FP32", "shape": ["-1", "6"]} in found["inputs"]
    assert {"name": "label", "datatype": "INT64", "shape": ["-1"]} in found["inputs"]
    assert {tensor["name"] for tensor in found["outputs"]} == {"image", "pixels"}


def test_the_index_lists_every_model(client: Any) -> None:
    models = client.get_model_repository_index().models
    assert {(model.name, model.version, model.state) for model in models} == {
        (name, "bundle", "READY") for name in ("m", "v", "c")
    }


@pytest.mark.parametrize(("model", "output"), [("m", "pixels"), ("m", "image"), ("v", "sample")])
def test_an_answer_is_the_one_of_http(gan: Any, client: Any, model: str, output: str) -> None:
    wanted = [triton.InferRequestedOutput(output)]
    answer = client.infer(model, [latent_input()], outputs=wanted, request_id="mine")
    assert answer.get_response().id == "mine"
    assert answer.get_response().model_version == "bundle"
    np.testing.assert_array_equal(answer.as_numpy(output), over_http(gan, model, LATENTS, output))


def test_raw_and_typed_contents_agree(channel: grpc.Channel) -> None:
    typed, _ = call(channel, "ModelInfer", infer_message().SerializeToString())
    tensor = {"name": "latent", "datatype": "FP32", "shape": [1, 6]}
    raw_request = infer_message(inputs=[tensor], raw_input_contents=[np.full(6, 0.5, "<f4").tobytes()])
    raw, _ = call(channel, "ModelInfer", raw_request.SerializeToString())
    assert not typed.raw_output_contents
    assert not raw.outputs[0].HasField("contents")
    found = np.frombuffer(raw.raw_output_contents[0], "<f4")
    np.testing.assert_array_equal(np.array(typed.outputs[0].contents.fp32_contents, np.float32), found)


def test_a_label_chooses_the_class(client: Any) -> None:
    pictures = []
    for label in (0, 1):
        chosen = triton.InferInput("label", [1], "INT64")
        chosen.set_data_from_numpy(np.array([label]))
        pictures.append(client.infer("c", [latent_input(LATENTS[:1]), chosen]).as_numpy("image"))
    assert not np.array_equal(*pictures)


def test_many_at_a_time_get_their_own(client: Any) -> None:
    latents = [standard_normal_latents(seed, 1 + seed % 5, 6) for seed in range(40)]
    answers: list[Future[Any]] = [Future() for _ in latents]

    def keep(answer: Future[Any]) -> Callable[[Any, Any], None]:
        return lambda result, error: answer.set_exception(error) if error else answer.set_result(result)

    for values, answer in zip(latents, answers, strict=True):
        client.async_infer("v", [latent_input(values)], callback=keep(answer))
    for values, answer in zip(latents, answers, strict=True):
        alone = client.infer("v", [latent_input(values)]).as_numpy("sample")
        np.testing.assert_array_equal(answer.result(20).as_numpy("sample"), alone)


def test_the_version_and_the_request_id_stand_in_the_metadata(channel: grpc.Channel) -> None:
    _, done = call(channel, "ModelInfer", infer_message().SerializeToString(), metadata=[("x-request-id", "abc-1")])
    metadata = dict(done.trailing_metadata())
    assert metadata["ganvas-model-version"] == "bundle"
    assert metadata["ganvas-model-verdict"] == "missing"
    assert metadata["x-request-id"] == "abc-1"
    _, done = call(channel, "ServerLive", b"", metadata=[("x-request-id", "a b")])
    assert dict(done.trailing_metadata())["x-request-id"] not in ("", "a b")


# -- errors ---------------------------------------------------------------------------------------------

TENSOR = {"name": "latent", "datatype": "FP32", "shape": [1, 6]}
TYPED = {**TENSOR, "contents": {"fp32_contents": [0.0] * 6}}
INVALID = grpc.StatusCode.INVALID_ARGUMENT
WRONG: dict[str, tuple[dict[str, Any], grpc.StatusCode, str]] = {
    "model": ({"model_name": "x"}, grpc.StatusCode.NOT_FOUND, "there is no model 'x' here"),
    "version": ({"model_version": "7"}, grpc.StatusCode.NOT_FOUND, "served in version bundle"),
    "no inputs": ({"inputs": []}, INVALID, "at least one tensor"),
    "name": ({"inputs": [{**TYPED, "name": "z"}]}, INVALID, "no graph takes z"),
    "no name": ({"inputs": [{**TYPED, "name": ""}]}, INVALID, "inputs[0].name"),
    "twice": ({"inputs": [TYPED, TYPED]}, INVALID, "given twice"),
    "datatype": ({"inputs": [{**TYPED, "datatype": "BYTES"}]}, INVALID, "datatype must be one of"),
    "other datatype": (
        {"inputs": [{**TENSOR, "datatype": "FP64", "contents": {"fp64_contents": [0.0] * 6}}]},
        INVALID,
        "must be float32, got float64",
    ),
    "wrong contents": ({"inputs": [{**TYPED, "datatype": "INT64"}]}, INVALID, "contents.int64_contents"),
    "shape": ({"inputs": [{**TYPED, "shape": [6, 1]}]}, INVALID, "must have shape ['N', 6]"),
    "size 0": ({"inputs": [{**TYPED, "shape": [0, 6]}]}, INVALID, "sizes of at least 1"),
    "negative": ({"inputs": [{**TYPED, "shape": [-1, 6]}]}, INVALID, "sizes of at least 1"),
    "no shape": ({"inputs": [{**TYPED, "shape": []}]}, INVALID, "sizes of at least 1"),
    "huge": ({"inputs": [{**TYPED, "shape": [2**62, 2**62]}]}, INVALID, "needs"),
    "too few": ({"inputs": [{**TYPED, "shape": [2, 6]}]}, INVALID, "needs 12 values"),
    "batch": (
        {"inputs": [{**TENSOR, "shape": [17, 6], "contents": {"fp32_contents": [0.0] * 102}}]},
        INVALID,
        "batch size must be 1 .. 16",
    ),
    "output": ({"outputs": [{"name": "pixels"}]}, INVALID, "no output 'pixels'"),
    "output twice": ({"outputs": [{"name": "sample"}] * 2}, INVALID, "given twice"),
    "raw beside typed": ({"raw_input_contents": [bytes(24)]}, INVALID, "contents beside raw_input_contents"),
    "raw count": ({"inputs": [TENSOR], "raw_input_contents": [b"", b""]}, INVALID, "2 entries for 1 inputs"),
    "raw size": ({"inputs": [TENSOR], "raw_input_contents": [bytes(23)]}, INVALID, "has 24 bytes"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_says_what_is_wrong(channel: grpc.Channel, case: str) -> None:
    changes, code, words = WRONG[case]
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, "ModelInfer", infer_message(**changes).SerializeToString())
    assert caught.value.code() is code
    assert words in caught.value.details()


def test_the_words_are_those_of_http(gan: Any, client: Any) -> None:
    for model, entry in (("x", {**TENSOR, "data": [0.0] * 6}), ("v", {**TENSOR, "shape": [6, 1], "data": [0.0] * 6})):
        values = np.zeros(entry["shape"], np.float32)
        with pytest.raises(InferenceServerException) as caught:
            client.infer(model, [latent_input(values)])
        answer = gan.client.post(f"/v2/models/{model}/infer", json={"inputs": [entry]})
        assert caught.value.message() == answer.json()["error"]


def test_every_error_has_a_status_in_both() -> None:
    kinds = set(RequestError.__subclasses__())
    assert set(CODE_OF) == set(STATUS_OF) == kinds
    for kind, status in STATUS_OF.items():
        assert (CODE_OF[kind] in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}) == (
            status in {413, 503}
        )


def test_what_is_no_message_is_the_clients_fault(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, "ModelInfer", b"\xff\xff\xff")
    assert caught.value.code() is INVALID
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"/{messages.SERVICE}/ModelLoad")(b"", timeout=20)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_message_has_a_limit(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, "ModelInfer", bytes(200_001))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_malformed(channel: grpc.Channel, content: bytes) -> None:
    request = infer_message()
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, "ModelInfer", request.SerializeToString() + b"\x2a\x00" + content)
    assert caught.value.code() in {INVALID, grpc.StatusCode.NOT_FOUND}


# -- arrays and messages --------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("datatype", DATATYPES)
def test_arrays_come_back(datatype: str, raw: bool) -> None:
    dtype = DATATYPES[datatype]
    random = np.random.Generator(np.random.Philox(key=5))
    value = random.integers(0, 2 if dtype.kind == "b" else 200, size=(3, 2, 4)).astype(dtype)
    if dtype.kind == "f":
        value += random.normal(size=value.shape).astype(dtype)
    response = tensors.encode_response("m", "1", "id", {"x": value, "y": value[:1]}, raw=raw)
    # Requests and answers carry tensors alike.
    request = messages.ModelInferRequest(
        inputs=[
            {"name": out.name, "datatype": out.datatype, "shape": out.shape, "contents": out.contents}
            if not raw
            else {"name": out.name, "datatype": out.datatype, "shape": out.shape}
            for out in response.outputs
        ],
        raw_input_contents=response.raw_output_contents,
    )
    assert tensors.is_raw(request) == raw
    inputs = tensors.decode_request(request).inputs
    assert inputs["x"].dtype == dtype
    np.testing.assert_array_equal(inputs["x"], value)
    np.testing.assert_array_equal(inputs["y"], value[:1])


@pytest.mark.parametrize(
    ("datatype", "field", "value"),
    [("UINT8", "uint_contents", 256), ("FP32", "fp32_contents", float("inf")), ("FP64", "fp64_contents", float("nan"))],
)
def test_a_value_out_of_range_is_refused(datatype: str, field: str, value: int) -> None:
    tensor = {"name": "x", "datatype": datatype, "shape": [1], "contents": {field: [value]}}
    with pytest.raises(MalformedRequest, match=r"out of the range|not finite"):
        tensors.decode_request(messages.ModelInferRequest(inputs=[tensor]))


def test_a_truth_value_is_0_or_1() -> None:
    tensor = {"name": "x", "datatype": "BOOL", "shape": [2]}
    request = messages.ModelInferRequest(inputs=[tensor], raw_input_contents=[b"\x01\x02"])
    with pytest.raises(MalformedRequest, match="0 or 1"):
        tensors.decode_request(request)


# -- operations -----------------------------------------------------------------------------------------


@contextmanager
def held(running: Any) -> Iterator[threading.Event]:
    """Runs of model ``m`` wait for the event: its instances are taken."""
    go = threading.Event()
    batcher = running.catalog.slots["m"].current.predictor._batcher
    run, is_short = batcher._run, batcher._is_short
    batcher._is_short = lambda *_: False
    batcher._run = lambda *arguments: (go.wait(30), run(*arguments))[1]
    try:
        yield go
    finally:
        go.set()
        batcher._run, batcher._is_short = run, is_short


def occupy(running: Any, client: Any) -> list[Any]:
    """A call for each instance; none is left for who comes next."""
    batcher, calls = running.catalog.slots["m"].current.predictor._batcher, []
    while batcher._running < batcher._instances:
        running_before = batcher._running
        calls.append(client.async_infer("m", [latent_input()], callback=lambda result, error: None))
        running.wait_until(lambda before=running_before: batcher._running > before)
    return calls


def waiting_runs(running: Any) -> int:
    return int(running.catalog.slots["m"].current.predictor.waiting[0])


def test_a_cancelled_call_leaves_the_queue(serving: Any, make_bundle: Any) -> None:
    with (
        serving(bundles={"m": make_bundle()}) as running,
        grpc_of(running) as address,
        triton_client(address) as client,
        held(running) as go,
    ):
        ended = threading.Event()
        kept = occupy(running, client)
        cancelled = client.async_infer("m", [latent_input()], callback=lambda result, error: ended.set())
        running.wait_until(lambda: waiting_runs(running) == 1)
        cancelled.cancel()
        running.wait_until(lambda: waiting_runs(running) == 0)
        running.wait_until(lambda: running.metric('ganvas_serve_cancelled_total{transport="grpc"}') == 1)
        go.set()
        running.wait_until(lambda: running.app.context.metrics.grpc.in_flight == 0)
        assert len(kept) == 2 and ended.wait(10)


def test_a_clients_deadline_leaves_the_queue(serving: Any, make_bundle: Any) -> None:
    with (
        serving(bundles={"m": make_bundle()}) as running,
        grpc_of(running) as address,
        triton_client(address) as client,
        held(running),
    ):
        for _ in range(3):
            with pytest.raises(InferenceServerException, match="Deadline"):
                client.infer("m", [latent_input()], client_timeout=0.2)
        running.wait_until(lambda: waiting_runs(running) == 0)


def test_a_request_has_a_deadline_over_both(serving: Any, make_bundle: Any) -> None:
    with (
        serving(bundles={"m": make_bundle()}, timeout_seconds=0.2) as running,
        grpc_of(running) as address,
        triton_client(address) as client,
        held(running) as go,
    ):
        words = "was not answered in 0.2 s"
        for _ in range(3):  # two instances are taken by runs that nobody waits for any more
            answer = running.client.get("/v1/models/m/images?n=1")
            assert (answer.status_code, words in answer.json()["error"]) == (504, True)
            with pytest.raises(InferenceServerException, match=words) as caught:
                client.infer("m", [latent_input()])
            assert caught.value.status() == "StatusCode.DEADLINE_EXCEEDED"
        assert waiting_runs(running) == 0
        go.set()
        running.wait_until(lambda: running.client.get("/v1/models/m/images?n=1").status_code == 200)
        assert running.metric('ganvas_serve_refused_total{reason="deadline"}') >= 6


def test_more_than_the_queue_holds_is_told_to_come_back(serving: Any, make_bundle: Any) -> None:
    with (
        serving(bundles={"m": make_bundle()}, max_queue=1) as running,
        grpc_of(running) as address,
        triton_client(address) as client,
        held(running) as go,
    ):
        calls = occupy(running, client)
        calls.append(client.async_infer("m", [latent_input()], callback=lambda result, error: None))
        running.wait_until(lambda: waiting_runs(running) == 1)
        with pytest.raises(InferenceServerException, match="waiting already") as caught:
            client.infer("m", [latent_input()])
        assert caught.value.status() == "StatusCode.RESOURCE_EXHAUSTED"
        go.set()
        running.wait_until(lambda: running.app.context.metrics.grpc.in_flight == 0)
        assert len(calls) == 3


def test_a_server_without_a_version_is_live_and_not_ready(serving: Any, registry: Any) -> None:
    with serving(registry=registry) as running, grpc_of(running) as address, triton_client(address) as client:
        assert client.is_server_live()
        assert not client.is_server_ready()
        assert not client.is_model_ready("m")
        with pytest.raises(InferenceServerException, match="no version to serve") as caught:
            client.infer("m", [latent_input()])
        assert caught.value.status() == "StatusCode.UNAVAILABLE"
        (entry,) = client.get_model_repository_index().models
        assert (entry.name, entry.state) == ("m", "UNAVAILABLE")


def test_a_canary_answers_its_share(serving: Any, registry: Any, make_bundle: Any) -> None:
    registry.move("m", "1", make_bundle())
    registry.move("m", "2", make_bundle(seed=1), alias="challenger")
    with (
        serving(registry=registry, canary_share=0.5) as running,
        grpc_of(running) as address,
        triton_client(address) as client,
    ):
        running.wait_until(lambda: running.catalog.slots["m"].canary.current is not None)

        def version(**options: Any) -> str:
            return str(client.infer("m", [latent_input()], **options).get_response().model_version)

        by_key = [[version(headers={"ganvas-sticky": f"key {key}"}) for key in range(30)] for _ in range(2)]
        assert by_key[0] == by_key[1], "one key, one version"
        assert set(by_key[0]) == {"1", "2"}
        assert {version(model_version=asked) for asked in ("1", "2")} == {"1", "2"}
        assert list(client.get_model_metadata("m").versions) == running.client.get("/v2/models/m").json()["versions"]
        assert list(client.get_model_metadata("m").versions) == ["1", "2"]
        assert list(client.get_model_metadata("m", "2").versions) == ["2"]
        index = client.get_model_repository_index().models
        assert {(model.version, model.state) for model in index} == {("1", "READY"), ("2", "READY")}
        series = 'ganvas_serve_version_requests_total{model="m",role="canary",status="OK",version="2"}'
        assert running.metric(series) >= by_key[0].count("2")


def test_the_token_is_wanted_here_too(serving: Any, make_bundle: Any, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("s3cret\n")
    with (
        serving(bundles={"m": make_bundle()}, auth_token_file=path) as running,
        grpc_of(running) as address,
        triton_client(address) as client,
    ):
        assert client.is_server_live() and client.is_server_ready()
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "s3cret"}):
            for ask in (client.get_server_metadata, client.get_model_repository_index):
                with pytest.raises(InferenceServerException) as caught:
                    ask(headers=headers)
                assert caught.value.status() == "StatusCode.UNAUTHENTICATED"
        right = {"authorization": "Bearer s3cret"}
        assert client.infer("m", [latent_input()], headers=right).as_numpy("image").shape[0] == 5


def test_who_has_no_token_is_refused_before_the_message_is_read(serving: Any, make_bundle: Any, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret")
    with (
        serving(bundles={"m": make_bundle()}, auth_token_file=tmp_path / "token", max_body_bytes=1000) as running,
        grpc_of(running) as address,
        grpc.insecure_channel(address) as channel,
    ):
        too_large = infer_message(id="x" * 100_000).SerializeToString()
        with pytest.raises(grpc.RpcError) as caught:
            call(channel, "ModelInfer", too_large)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED, "its size was not even looked at"
        with pytest.raises(grpc.RpcError) as caught:
            call(channel, "ModelInfer", too_large, metadata=[("authorization", "Bearer s3cret")])
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_messages_share_the_memory_that_bodies_have(serving: Any, make_bundle: Any) -> None:
    limits = {"max_body_bytes": 3000, "max_bodies_bytes": 4000}
    words = "the bodies of other requests fill the memory"
    large, small = latent_input(np.zeros((100, 6), dtype=np.float32)), latent_input(np.zeros((1, 6), dtype=np.float32))
    with (
        serving(bundles={"m": make_bundle()}, **limits) as running,
        grpc_of(running) as address,
        triton_client(address) as client,
    ):
        bodies, in_flight = running.app.context.bodies, running.app.context.metrics.grpc
        assert bodies._held == 0
        for _ in range(3):
            client.infer("m", [latent_input(np.zeros((16, 6), dtype=np.float32))])
        assert bodies._held == 0, "what is answered is let go"
        with held(running) as go:
            kept = occupy(running, client)
            before = bodies._held
            assert before > 0
            bodies.hold(4000 - before - 1000)
            with pytest.raises(InferenceServerException, match=words) as caught:
                client.infer("m", [large])
            assert caught.value.status() == "StatusCode.RESOURCE_EXHAUSTED"
            body = {"inputs": [{"name": "latent", "datatype": "FP32", "shape": [100, 6], "data": [0.0] * 600}]}
            # Past ASGI small bodies are not counted; one with an origin goes the long way.
            answer = running.client.post("/v2/models/m/infer", json=body, headers={"origin": "https://a.example"})
            assert (answer.status_code, words in answer.json()["error"]) == (503, True), "over HTTP it is the same sum"
            bodies.hold(1000)
            with pytest.raises(InferenceServerException, match=words):
                client.infer("m", [small])
            assert client.is_server_live(), "who asks whether it lives must hear it"
            bodies.let_go(4000 - before)
            go.set()
            running.wait_until(lambda: in_flight.in_flight == 0)
            assert len(kept) == 2
        assert bodies._held == 0
        assert running.metric('ganvas_serve_refused_total{reason="overloaded"}') == 3


def test_while_the_memory_is_filled_no_message_is_read(serving: Any, make_bundle: Any) -> None:
    with (
        serving(bundles={"m": make_bundle()}, max_body_bytes=1000, max_bodies_bytes=1000) as running,
        grpc_of(running) as address,
        grpc.insecure_channel(address) as channel,
    ):
        running.app.context.bodies.hold(1000)
        with pytest.raises(grpc.RpcError, match="fill the memory"):
            call(channel, "ModelInfer", infer_message(id="x" * 100_000).SerializeToString())
        running.app.context.bodies.let_go(1000)
        with pytest.raises(grpc.RpcError, match="larger than max"):
            call(channel, "ModelInfer", infer_message(id="x" * 100_000).SerializeToString())


def test_a_taken_port_is_an_error(gan: Any, address: str) -> None:
    port = int(address.rpartition(":")[2])
    second = GrpcServer(gan.app.context, gan.app.operations, host="127.0.0.1", port=port)
    with pytest.raises(Exception, match=f"Cannot listen on 127.0.0.1:{port}"):
        gan.call(second.start())


def test_calls_in_flight_are_answered_when_it_stops(serving: Any, make_bundle: Any) -> None:
    with serving(bundles={"m": make_bundle()}) as running:
        server = GrpcServer(running.app.context, running.app.operations, host="127.0.0.1", port=0)
        running.call(server.start())
        with triton_client(f"127.0.0.1:{server.port}") as client, held(running) as go:
            answer: Future[Any] = Future()
            client.async_infer("m", [latent_input()], callback=lambda result, error: answer.set_result((result, error)))
            running.wait_until(lambda: running.app.context.metrics.grpc.in_flight == 1)
            threading.Timer(0.2, go.set).start()
            running.call(server.stop(10))
            result, error = answer.result(5)
            assert error is None
            assert result.as_numpy("image").shape == (5, 1, 8, 8)


def test_draining_shows_as_not_ready(serving: Any, make_bundle: Any) -> None:
    with (
        serving(bundles={"m": make_bundle()}) as running,
        grpc_of(running) as address,
        triton_client(address) as client,
    ):
        running.catalog.draining = True
        assert not client.is_server_ready()
        assert client.is_server_live()
        assert client.infer("m", [latent_input()]).as_numpy("image").shape[0] == 5


def test_metrics_count_calls_apart_from_http(serving: Any, make_bundle: Any) -> None:
    with (
        serving(bundles={"m": make_bundle()}) as running,
        grpc_of(running) as address,
        triton_client(address) as client,
    ):
        client.infer("m", [latent_input()])
        route = f"/{messages.SERVICE}/ModelInfer"
        assert running.metric(f'ganvas_serve_requests_total{{route="{route}",status="OK"}}') == 1
        assert running.metric('ganvas_serve_answers_total{transport="grpc"}') == 1
        assert running.metric('ganvas_serve_received_bytes_total{transport="grpc"}') >= LATENTS.nbytes
        assert running.metric('ganvas_serve_sent_bytes_total{transport="grpc"}') >= 5 * 64 * 5
        assert running.metric('ganvas_serve_batch_rows_sum{model="m"}') == 5


def test_nothing_is_known_of_what_is_not_served() -> None:
    metrics = Metrics()
    metrics.watch(Catalog(["m"]))
    assert b'model="m"' not in metrics.exposition()
