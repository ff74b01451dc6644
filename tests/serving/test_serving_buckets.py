"""Padded batches in buffers that stay give what plain runs give, at every size and in any order."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from serving.bundle.reader import read_bundle
from serving.errors import BundleError
from serving.predict import model as model_module
from serving.predict.buckets import BucketedSession, bucket_sizes
from serving.predict.model import load_model
from serving.predict.sessions import Execution, open_buckets, open_session


def plain_session(content: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(("most", "sizes"), [(1, [1]), (2, [1, 2]), (5, [1, 2, 4, 5]), (64, [1, 2, 4, 8, 16, 32, 64])])
def test_sizes_double_up_to_the_largest(most: int, sizes: list[int]) -> None:
    assert bucket_sizes(most) == sizes


@pytest.mark.parametrize("conditional", [False, True])
def test_every_number_of_rows_gives_what_a_plain_run_gives(make_bundle: Any, conditional: bool) -> None:
    session = plain_session((make_bundle(conditional=conditional) / "generator.onnx").read_bytes())
    bucketed = BucketedSession(session, "cpu", 8)
    random = np.random.Generator(np.random.PCG64(0))
    for rows in random.permutation(np.tile(np.arange(1, 9), 3)):
        inputs: dict[str, Any] = {"latent": random.standard_normal((rows, 6), dtype=np.float32)}
        if conditional:
            inputs["label"] = random.integers(0, 3, rows)
        for names in (["pixels"], ["image", "pixels"]):
            for found, expected in zip(bucketed.run(names, inputs), session.run(names, inputs), strict=True):
                np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="9 rows"):
        bucketed.run(["image"], {"latent": np.zeros((9, 6), dtype=np.float32)})


def test_an_answer_stays_as_it_is_while_others_run(make_bundle: Any) -> None:
    session = plain_session((make_bundle() / "generator.onnx").read_bytes())
    bucketed = BucketedSession(session, "cpu", 2)
    failures: list[str] = []

    def ask(number: int) -> None:
        latent = np.full((1 + number % 2, 6), number / 10, dtype=np.float32)
        (expected,) = session.run(["image"], {"latent": latent})
        for _ in range(30):
            (found,) = bucketed.run(["image"], {"latent": latent})
            if not np.array_equal(found, expected):
                failures.append(f"thread {number}")

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize("conditional", [False, True])
def test_more_golden_rows_than_a_batch_has_are_checked(
    make_bundle: Any, conditional: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = read_bundle(make_bundle(conditional=conditional))
    assert bundle.signature.golden.count == 4

    def bucketed(name: str, content: bytes, execution: Execution) -> Any:
        return open_buckets(name, plain_session(content), "cpu", execution)

    monkeypatch.setattr(model_module, "open_session", bucketed)  # a GPU's session, without a GPU
    for most in (1, 3, 4):
        load_model(bundle, Execution(max_batch=most))
    bundle.golden[3] += 0.1
    for most in (3, 4):
        with pytest.raises(BundleError, match="golden check: differs"):
            load_model(bundle, Execution(max_batch=most))


def test_a_graph_that_has_no_fixed_batches_is_a_bundles_error(make_bundle: Any) -> None:
    graph = onnx.load_model_from_string((make_bundle() / "generator.onnx").read_bytes())
    graph.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "Z"
    with pytest.raises(BundleError, match="generator cannot be run in batches"):
        open_buckets("generator", plain_session(graph.SerializeToString()), "cpu", Execution(max_batch=2))


def test_a_gpu_that_is_not_there_is_named(make_bundle: Any) -> None:
    if "CUDAExecutionProvider" in plain_session((make_bundle() / "generator.onnx").read_bytes()).get_providers():
        pytest.skip("there is one")
    with pytest.raises(BundleError, match=r"cuda was demanded and g would run on CPUExecutionProvider"):
        open_session("g", (make_bundle() / "generator.onnx").read_bytes(), Execution(device="cuda"))
