"""Bundles that look finished and must never answer a request."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper


def spoiled(bundle: Path, directory: Path) -> Iterator[tuple[str, Path]]:
    """Copies of a bundle with one graph, each spoiled in one way; where it helps the deception hashes are mended."""
    for name, spoil in _WAYS.items():
        copy = directory / name.replace(" ", "-")
        shutil.copytree(bundle, copy)
        spoil(copy)
        yield name, copy


def _sign(directory: Path, change: Callable[[dict[str, Any]], None] | None = None) -> None:
    """Make the signature agree with the graph as it is now."""
    path = directory / "signature.json"
    signature = json.loads(path.read_text())
    (graph,) = signature["graphs"].values()
    content = (directory / graph["file"]).read_bytes()
    graph["sha256"], graph["size_bytes"] = hashlib.sha256(content).hexdigest(), len(content)
    if change is not None:
        change(signature)
    path.write_text(json.dumps(signature))


def _corrupt(directory: Path) -> None:
    path = directory / "generator.onnx"
    content = bytearray(path.read_bytes())
    content[: len(content) // 2] = bytes(len(content) // 2)
    path.write_bytes(content)
    _sign(directory)


def _wrong_hash(directory: Path) -> None:
    path = directory / "generator.onnx"
    path.write_bytes(path.read_bytes() + b"\0\0")


def _wrong_shape(directory: Path) -> None:
    def change(signature: dict[str, Any]) -> None:
        (graph,) = signature["graphs"].values()
        graph["inputs"][0]["shape"] = [-1, signature["latent"]["size"] + 1]
        signature["latent"]["size"] += 1

    _sign(directory, change)


def _not_finite(directory: Path) -> None:
    path = directory / "generator.onnx"
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and tensor.dims:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(np.nan), tensor.name))
    onnx.save(model, path)
    _sign(directory)


_WAYS: dict[str, Callable[[Path], None]] = {
    "corrupt": _corrupt,
    "wrong hash": _wrong_hash,
    "wrong shape": _wrong_shape,
    "not finite": _not_finite,
}
