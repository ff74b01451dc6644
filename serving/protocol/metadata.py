"""What a server and a model say of themselves, and what may be asked of the repository."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from serving.bundle.signature import Signature, Tensor
from serving.errors import MalformedRequest
from serving.protocol.datatypes import NAMES
from serving.protocol.documents import read_object

EXTENSIONS = ("binary_tensor_data", "model_repository")


@dataclass(frozen=True)
class IndexQuery:
    """A decoded request for the repository's index."""

    ready_only: bool


def describe_model(name: str, versions: Iterable[str], signature: Signature) -> dict[str, Any]:
    """A model's metadata.

    The protocol knows one graph a model; all graphs' tensors stand together there, and apart under
    ``parameters``.
    """
    graphs = {
        graph_name: {"inputs": _describe(graph.inputs), "outputs": _describe(graph.outputs)}
        for graph_name, graph in signature.graphs.items()
    }
    together: dict[str, dict[str, dict[str, Any]]] = {"inputs": {}, "outputs": {}}
    for graph in graphs.values():
        for side, tensors in graph.items():
            together[side] |= {tensor["name"]: tensor for tensor in tensors}
    return {
        "name": name,
        "versions": list(versions),
        "platform": "onnxruntime_onnx",
        **{side: list(tensors.values()) for side, tensors in together.items()},
        "parameters": {
            "graphs": graphs,
            "family": signature.family,
            "class_names": list(signature.class_names),
            "latent_algorithm": signature.latent.algorithm,
        },
    }


def _describe(tensors: Iterable[Tensor]) -> list[dict[str, Any]]:
    return [{"name": t.name, "datatype": NAMES[np.dtype(t.dtype)], "shape": list(t.shape)} for t in tensors]


def decode_index_query(body: bytes | bytearray) -> IndexQuery:
    """A request for the index; an empty body asks for everything.

    Raises:
        MalformedRequest: if it is not what the protocol says.
    """
    document = read_object(body) if body.strip() else {}
    ready = document.get("ready", False)
    if not isinstance(ready, bool):
        raise MalformedRequest("ready must be true or false.")
    return IndexQuery(ready)
