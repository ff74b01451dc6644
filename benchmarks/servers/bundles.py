"""Bundles to be served for measurements: a DCGAN generator with random weights, and an identity."""

from __future__ import annotations

import hashlib
import io
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper
from torch import nn

from serving.predict.latents import ALGORITHM, standard_normal_latents

GOLDEN_SEED, GOLDEN_COUNT = 7, 4


class Dcgan(nn.Module):
    """The generator of Radford et al. 2016 for 64 by 64: transposed convolutions with batch normalization, folded."""

    def __init__(self, latent_size: int, width: int = 64) -> None:
        super().__init__()
        channels = [latent_size, 8 * width, 4 * width, 2 * width, width]
        layers: list[nn.Module] = []
        for number, (before, after) in enumerate(pairwise(channels)):
            stride, padding = (1, 0) if number == 0 else (2, 1)
            layers += [nn.ConvTranspose2d(before, after, 4, stride, padding), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(width, 3, 4, 2, 1), nn.Sigmoid())

    def forward(self, latent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        image = self.layers(latent[:, :, None, None])
        return image, (image * 255.0).round().to(torch.uint8).permute(0, 2, 3, 1)


def write_dcgan(directory: Path, latent_size: int) -> Path:
    """A bundle of 64 by 64 RGB pictures."""
    torch.manual_seed(0)
    network = Dcgan(latent_size).eval()
    directory.mkdir(parents=True, exist_ok=True)
    batch = torch.export.Dim("N")
    program = torch.onnx.export(
        network,
        (torch.zeros(2, latent_size),),
        input_names=["latent"],
        output_names=["image", "pixels"],
        dynamic_shapes={"latent": {0: batch}},
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    program.save(str(directory / "generator.onnx"), external_data=False)
    outputs = [_tensor("image", "float32", 3, 64, 64), _tensor("pixels", "uint8", 64, 64, 3)]
    return _sign(directory, latent_size, outputs, {"kind": "image", "shape": [3, 64, 64], "value_range": [0.0, 1.0]})


def write_identity(directory: Path, width: int) -> Path:
    """A bundle whose sample is its latent."""
    directory.mkdir(parents=True, exist_ok=True)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width]) for name in ("latent", "sample")]
    graph = helper.make_graph([helper.make_node("Identity", ["latent"], ["sample"])], "identity", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, directory / "generator.onnx")
    return _sign(directory, width, [_tensor("sample", "float32", width)], {"kind": "vector", "shape": [width]})


def _tensor(name: str, dtype: str, *shape: int) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "shape": [-1, *shape]}


def _sign(directory: Path, latent_size: int, outputs: list[dict[str, Any]], sample: dict[str, Any]) -> Path:
    content = (directory / "generator.onnx").read_bytes()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    latent = standard_normal_latents(GOLDEN_SEED, GOLDEN_COUNT, latent_size)
    golden = io.BytesIO()
    np.save(golden, session.run([outputs[0]["name"]], {"latent": latent})[0])
    (directory / "golden.npy").write_bytes(golden.getvalue())
    signature = {
        "schema_version": 1,
        "family": "gan",
        "graphs": {
            "generator": {
                "file": "generator.onnx",
                "sha256": hashlib.sha256(content).hexdigest(),
                "size_bytes": len(content),
                "inputs": [_tensor("latent", "float32", latent_size)],
                "outputs": outputs,
            }
        },
        "sample": sample,
        "latent": {"size": latent_size, "algorithm": ALGORITHM},
        "class_names": [],
        "golden": {
            "file": "golden.npy",
            "sha256": hashlib.sha256(golden.getvalue()).hexdigest(),
            "seed": GOLDEN_SEED,
            "count": GOLDEN_COUNT,
            "tolerance": 1e-3,
        },
        "lineage": {"recipe": directory.name},
    }
    (directory / "signature.json").write_text(json.dumps(signature))
    return directory
