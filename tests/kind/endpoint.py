"""The endpoint, called by a client that knows nothing of this server."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np

from tests.kind.pins import RECIPE
from tests.kind.shell import StepFailed


def served_version(address: str, name: str = RECIPE) -> str:
    """The version that answers now; empty while none does. Raises StepFailed."""
    try:
        answer = httpx.get(f"{address}/v2/models/{name}/ready", timeout=30, trust_env=False)
    except httpx.HTTPError as error:
        raise StepFailed(f"The endpoint does not answer: {error}") from error
    return answer.headers.get("ganvas-model-version", "") if answer.status_code == 200 else ""


def not_serving(address: str, version: str) -> str:
    """What keeps this version from answering."""
    found = served_version(address)
    return "" if found == version else f"it serves version {found}" if found else "it serves no version yet"


def infer(address: str, name: str = RECIPE, rows: int = 3) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Images that tritonclient gets for latents of zeros: float32 [rows, channels, height, width], in [0, 1].

    Raises:
        StepFailed: if the answer is not that.
    """
    # Late: it brings gevent.
    from tritonclient import http
    from tritonclient.utils import InferenceServerException

    client = http.InferenceServerClient(urlsplit(address).netloc, network_timeout=60.0, connection_timeout=60.0)
    try:
        latent = next(tensor for tensor in client.get_model_metadata(name)["inputs"] if tensor["name"] == "latent")
        given = http.InferInput("latent", [rows, int(latent["shape"][1])], latent["datatype"])
        given.set_data_from_numpy(np.zeros(given.shape(), np.float32))
        images: Any = client.infer(name, [given], outputs=[http.InferRequestedOutput("image")]).as_numpy("image")
    except InferenceServerException as error:
        raise StepFailed(f"tritonclient: {error}") from error
    finally:
        client.close()
    if images is None or images.ndim != 4 or len(images) != rows or not ((images >= 0) & (images <= 1)).all():
        raise StepFailed(f"The endpoint's images have shape {getattr(images, 'shape', None)}, or leave [0, 1].")
    return np.asarray(images, np.float32)
