"""A torch module as one ONNX file."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

OPSET = 20


def write_onnx(module: nn.Module, example: dict[str, Tensor], path: Path, *, output_names: list[str]) -> None:
    """Export in eval mode with a dynamic batch axis, weights inside the file.

    Args:
        module: takes the example's tensors in their order.
        example: inputs by name, of a batch size of at least 2, so that the batch axis is not taken for a constant.
        path: of the file.
        output_names: in the order of the module's outputs.
    """
    module.eval()
    rows = torch.export.Dim("N")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations, not ours to mend
        program = torch.onnx.export(
            module,
            tuple(example.values()),
            input_names=list(example),
            output_names=output_names,
            dynamic_shapes=tuple({0: rows} for _ in example),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    for node in program.model.graph:
        node.metadata_props.clear()  # stack traces: with this machine's paths the hash would depend on them
    program.save(str(path), external_data=False)
