"""From a Checkpoint to a Bundle, with the proof that onnxruntime computes what torch does."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from components import environment
from components.artifacts import prepare_output_directory, sha256_of_file, write_bytes_atomically, write_document
from components.export.bundle import RECIPE_NAME
from components.export.graphs import DecoderGraph, EncoderGraph, GeneratorGraph
from components.export.signature import (
    SIGNATURE_NAME,
    Golden,
    Graph,
    Latent,
    Likelihood,
    Lineage,
    Parity,
    SampleSpecification,
    Signature,
    TensorSpecification,
)
from components.onnx_graphs.sessions import open_session
from components.onnx_graphs.writer import write_onnx
from components.recipe import Recipe
from components.train.checkpoint import Checkpoint, load_weights, read_checkpoint
from components.train.observer import EVENTS_NAME, HISTORY_NAME
from models.config import is_conditional
from models.errors import ExportError
from models.latents import standard_normal_latents
from models.networks.build import parameter_count
from models.steps.autoencoding import AutoencodingStep
from models.steps.build import build_step
from models.steps.gan import GanStep
from models.steps.step import Execution
from models.steps.vae import VaeStep

BATCH_SIZES = (1, 3, 17, 64)
TOLERANCE = 1e-4
GOLDEN_COUNT = 4

GraphName = Literal["generator", "encoder", "decoder"]


def export(
    checkpoint: Path,
    output: Path,
    *,
    recipe: Recipe | None = None,
    pipeline_run_id: str = "",
    code_revision: str = "",
) -> Signature:
    """Write a Bundle from a finished Checkpoint's averaged networks.

    Args:
        checkpoint: a finished Checkpoint.
        output: a new directory.
        recipe: the whole recipe of the run, where training was given only its part of it.
        pipeline_run_id: the run of the graph that this belongs to, if any.
        code_revision: what the code was, if known.

    Raises:
        ArtifactError: if the checkpoint is incomplete or ``output`` is finished already.
        ExportError: if onnxruntime and torch disagree by more than the tolerance, or a value is not finite.
    """
    trained = read_checkpoint(checkpoint)
    recipe = recipe or trained.recipe
    prepare_output_directory(output, SIGNATURE_NAME)
    step = build_step(
        trained.recipe.model,
        tuple(trained.sample_shape),
        len(trained.class_names),
        Execution(device=torch.device("cpu")),
    )
    load_weights(checkpoint, step.networks)
    modules = _modules(step)
    sampler: GraphName = "generator" if "generator" in modules else "decoder"
    is_image = len(trained.sample_shape) == 3
    graphs: dict[GraphName, Graph] = {}
    errors = []
    for name, module in modules.items():
        outputs = _output_names(name, trained.recipe.model.family, is_image)
        examples = [_example(name, trained, size) for size in BATCH_SIZES]
        write_onnx(module, examples[1], output / f"{name}.onnx", output_names=outputs)
        graphs[name] = _described(output / f"{name}.onnx")
        errors.append(_largest_difference(module, output / f"{name}.onnx", examples, outputs))
    if not max(errors) <= TOLERANCE:
        raise ExportError(
            f"onnxruntime and torch differ by {max(errors):.2e}, more than {TOLERANCE:.0e}.",
            "Do not serve these weights; check them for values that are not finite.",
        )
    parity = Parity(max_absolute_error=max(errors), tolerance=TOLERANCE, batch_sizes=list(BATCH_SIZES))
    signature = Signature(
        family=trained.recipe.model.family,
        graphs=graphs,
        sample=SampleSpecification(
            kind="image" if is_image else "vector",
            shape=trained.sample_shape,
            value_range=(0.0, 1.0) if is_image else None,
            fit=trained.fit,
        ),
        latent=Latent(size=step.latent_size),
        class_names=trained.class_names,
        likelihood=_likelihood(step),
        golden=_write_golden(
            output,
            sampler,
            step.latent_size,
            len(trained.class_names) if is_conditional(trained.recipe.model) else 0,
        ),
        parity=parity,
        parameters={name: parameter_count(module) for name, module in modules.items()},
        lineage=Lineage(
            recipe=recipe.name,
            recipe_sha256=recipe.sha256,
            dataset_name=trained.dataset_name,
            dataset_fingerprint=trained.dataset_fingerprint,
            images_seen=trained.images_seen,
            seed=trained.recipe.seed,
            code_revision=code_revision or os.environ.get(environment.CODE_REVISION, ""),
            pipeline_run_id=pipeline_run_id,
            mlflow_run_id=trained.mlflow_run_id,
        ),
    )
    write_bytes_atomically(output / RECIPE_NAME, (recipe.model_dump_json(indent=2) + "\n").encode())
    for log in (HISTORY_NAME, EVENTS_NAME):
        if (checkpoint / log).is_file():
            shutil.copyfile(checkpoint / log, output / log)
    write_document(output / SIGNATURE_NAME, signature)
    return signature


def _modules(step: Any) -> dict[GraphName, nn.Module]:
    match step:
        case GanStep():
            return {"generator": GeneratorGraph(step.generator_ema)}
        case AutoencodingStep():
            network: Any = step.network_ema
            return {"encoder": EncoderGraph(network), "decoder": DecoderGraph(network)}
        case _:
            raise AssertionError(step)


def _likelihood(step: Any) -> Likelihood | None:
    if not isinstance(step, VaeStep):
        return None
    scale = getattr(step.network_ema, "log_scale", None)
    return Likelihood(
        kind=step.settings.likelihood,
        log_scale=None if scale is None else float(scale),
        binarized=step.settings.binarize,
    )


def _output_names(graph: GraphName, family: str, is_image: bool) -> list[str]:
    match graph:
        case "generator":
            return ["image", "pixels"] if is_image else ["sample"]
        case "decoder":
            return ["image", "pixels", "location"] if is_image else ["sample"]
        case "encoder":
            return ["mean", *(["log_variance"] if family == "vae" else [])]


def _example(graph: GraphName, trained: Checkpoint, size: int) -> dict[str, Tensor]:
    """Inputs by name, [size, ...]."""
    model = trained.recipe.model
    if graph != "encoder":
        latent = torch.from_numpy(standard_normal_latents(1, size, model.latent_size))
        latent[0] = 0.0  # what a person types first, and what a normalization divides by
        inputs = {"latent": latent}
        if is_conditional(model):
            inputs["label"] = torch.arange(size) % len(trained.class_names)
        return inputs
    if len(trained.sample_shape) != 3:
        return {"sample": torch.from_numpy(standard_normal_latents(1, size, trained.sample_shape[0]))}
    channels, height, width = trained.sample_shape
    noise = np.random.Generator(np.random.PCG64(size)).bit_generator.random_raw(size * height * width * channels)
    pixels = (noise >> np.uint64(56)).astype(np.uint8).reshape(size, height, width, channels)
    return {"pixels": torch.from_numpy(pixels)}


def _described(path: Path) -> Graph:
    session = open_session(path)
    dtypes: dict[str, Literal["float32", "int64", "uint8"]] = {
        "tensor(float)": "float32",
        "tensor(int64)": "int64",
        "tensor(uint8)": "uint8",
    }

    def specification(tensor: Any) -> TensorSpecification:
        shape = [-1, *(int(size) for size in tensor.shape[1:])]
        return TensorSpecification(name=tensor.name, dtype=dtypes[tensor.type], shape=shape)

    return Graph(
        file=path.name,
        sha256=sha256_of_file(path),
        size_bytes=path.stat().st_size,
        inputs=[specification(tensor) for tensor in session.get_inputs()],
        outputs=[specification(tensor) for tensor in session.get_outputs()],
    )


def _largest_difference(module: nn.Module, path: Path, examples: list[dict[str, Tensor]], outputs: list[str]) -> float:
    """Over all float outputs and batch sizes; infinite where a value is not finite on either side."""
    session = open_session(path)
    largest = 0.0
    for example in examples:
        with torch.no_grad():
            expected = module(*example.values())
        computed = session.run(outputs, {name: values.numpy() for name, values in example.items()})
        for ours, theirs in zip(expected if isinstance(expected, tuple) else (expected,), computed, strict=True):
            if ours.dtype == torch.uint8:
                continue  # a rounding away from the same float: checked through ``image``
            difference = np.abs(ours.numpy() - theirs)
            largest = max(largest, float(difference.max()) if np.isfinite(difference).all() else float("inf"))
    return largest


def _write_golden(output: Path, sampler: GraphName, latent_size: int, classes: int) -> Golden:
    """The first samples of seed 0; of a conditional model index i is of class i modulo their number."""
    session = open_session(output / f"{sampler}.onnx")
    inputs: dict[str, npt.NDArray[Any]] = {"latent": standard_normal_latents(0, GOLDEN_COUNT, latent_size)}
    if classes:
        inputs["label"] = np.arange(GOLDEN_COUNT, dtype=np.int64) % classes
    name = session.get_outputs()[0].name
    golden: npt.NDArray[np.float32] = session.run([name], inputs)[0]
    np.save(output / "golden.npy", golden, allow_pickle=False)
    return Golden(sha256=sha256_of_file(output / "golden.npy"), seed=0, count=GOLDEN_COUNT)
