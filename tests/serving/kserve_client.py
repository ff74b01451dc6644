"""KServe's own clients against a running server; run by the python of an environment that has them.

    python tests/serving/kserve_client.py http://127.0.0.1:8000 127.0.0.1:8001 MODEL LATENT_SIZE OUTPUT

One JSON line for each check: ``[client, check, passed, detail]``. ``tests.campaigns.clients`` makes the environment.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig

ROWS = 3


def request(model: str, latents: np.ndarray, binary: bool) -> InferRequest:
    tensor = InferInput("latent", list(latents.shape), "FP32")
    tensor.set_data_from_numpy(latents, binary_data=binary)
    return InferRequest(model, [tensor], request_id="from-kserve")


async def check(client: str, name: str, ask: Callable[[], Awaitable[Any]], expected: Callable[[Any], bool]) -> Any:
    """Print whether the answer is the expected one; gives the answer."""
    try:
        answer = await ask()
        passed, detail = expected(answer), "" if expected(answer) else repr(answer)
    except Exception as error:
        answer, passed, detail = None, False, f"{type(error).__name__}: {error}"
    print(json.dumps([client, name, passed, detail[:300]]), flush=True)
    return answer


async def refused(ask: Callable[[], Awaitable[Any]]) -> str:
    """The words of the error that is expected."""
    try:
        await ask()
    except Exception as error:
        return str(error)
    return ""


async def main(http: str, grpc: str, model: str, latent_size: int, output: str) -> None:
    latents = np.random.default_rng(0).normal(size=(ROWS, latent_size)).astype(np.float32)
    wrong = latents[:, :-1]
    config = RESTConfig(protocol="v2", retries=0)
    async with InferenceRESTClient(config) as rest, InferenceGRPCClient(grpc) as rpc:
        metadata = await rest._client.get(f"{http}/v2")
        binary = "binary_tensor_data" in metadata.json()["extensions"]
        await check("REST", "live", lambda: rest.is_server_live(http), lambda answer: answer is True)
        await check("REST", "ready", lambda: rest.is_server_ready(http), lambda answer: answer is True)
        await check("REST", "model ready", lambda: rest.is_model_ready(http, model), lambda answer: answer is True)
        await check("gRPC", "live", rpc.is_server_live, lambda answer: answer is True)
        await check("gRPC", "ready", rpc.is_server_ready, lambda answer: answer is True)
        await check("gRPC", "model ready", lambda: rpc.is_model_ready(model), lambda answer: answer is True)
        described = await rest._client.get(f"{http}/v2/models/{model}")
        version = described.json()["versions"][0]

        def is_named(answer: Any) -> bool:
            # KServe's REST client does not keep the version that the answer names.
            return bool(answer.id == "from-kserve" and answer.model_version in (version, None) and answer.outputs)

        answers = {}
        for wire, raw in [("JSON", False), *([("binary", True)] if binary else [])]:
            answers[f"REST {wire}"] = await check(
                "REST",
                f"infer, {wire}",
                lambda raw=raw: rest.infer(http, request(model, latents, raw), model_name=model),
                is_named,
            )
        for wire, raw in (("typed", False), ("raw", True)):
            answers[f"gRPC {wire}"] = await check(
                "gRPC", f"infer, {wire}", lambda raw=raw: rpc.infer(request(model, latents, raw)), is_named
            )

        async def same() -> bool:
            arrays = [
                next(tensor.as_numpy() for tensor in answer.outputs if tensor.name == output)
                for answer in answers.values()
            ]
            return all(array.shape[0] == ROWS and np.array_equal(array, arrays[0]) for array in arrays)

        await check("both", f"all {len(answers)} answers are the same array", same, lambda answer: answer is True)

        def names_the_shape(words: str) -> bool:
            return "must have shape" in words

        await check(
            "REST",
            "a wrong shape is explained",
            lambda: refused(lambda: rest.infer(http, request(model, wrong, False), model_name=model)),
            lambda words: "400" in words,
        )
        await check(
            "gRPC",
            "a wrong shape is explained",
            lambda: refused(lambda: rpc.infer(request(model, wrong, True))),
            names_the_shape,
        )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5]))
