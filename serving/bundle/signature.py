"""``signature.json`` as its reader: what serving relies on, and nothing else of the document.

The writer's document may grow fields within one ``schema_version``; they are ignored here.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from serving.errors import BundleError
from serving.pictures.resize import Fit
from serving.predict.latents import ALGORITHM

SIGNATURE_NAME = "signature.json"
SCHEMA_VERSION = 1
FILE_NAME = r"^[a-z0-9_]+\.(onnx|npy)$"  # one plain name: no directory, no `..`
SHA256 = r"^[0-9a-f]{64}$"
REMEDY = "Export the bundle again, or name a finished one."


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Tensor(_Part):
    """A named input or output; the first axis is the batch N (-1), every other one is fixed."""

    name: str = Field(min_length=1)
    dtype: Literal["float32", "int64", "uint8"]
    shape: tuple[int, ...]

    @model_validator(mode="after")
    def _batch_first(self) -> Tensor:
        if not self.shape or self.shape[0] != -1 or any(size < 1 for size in self.shape[1:]):
            raise ValueError(f"shape of {self.name} must be [-1, ...] with sizes of at least 1")
        return self


class Graph(_Part):
    """One ONNX file."""

    file: str = Field(pattern=FILE_NAME)
    sha256: str = Field(pattern=SHA256)
    size_bytes: int = Field(ge=1)
    inputs: tuple[Tensor, ...] = Field(min_length=1)
    outputs: tuple[Tensor, ...] = Field(min_length=1)


class Sample(_Part):
    """One sample: a picture ``[channels, height, width]`` or a vector ``[dimensions]``."""

    kind: Literal["image", "vector"]
    shape: tuple[int, ...]
    value_range: tuple[float, float] | None = None
    fit: Fit = "crop"
    """How the data's pictures became squares; bundles from before it was written had theirs cropped."""


class Latent(_Part):
    """The latent space."""

    size: int = Field(ge=1)
    algorithm: str


class Golden(_Part):
    """What the exporting machine got for the first latents of a seed."""

    file: str = Field(pattern=FILE_NAME)
    sha256: str = Field(pattern=SHA256)
    seed: int = Field(ge=0, lt=2**64)
    count: int = Field(ge=1)
    tolerance: float = Field(ge=0)


class Lineage(_Part):
    """Where the bundle comes from; what its writer did not know is empty."""

    recipe: str = ""
    dataset_name: str = ""
    dataset_fingerprint: str = ""
    images_seen: int = 0
    code_revision: str = ""
    pipeline_run_id: str = ""
    mlflow_run_id: str = ""


class Signature(_Part):
    """What a bundle promises to whoever runs it."""

    schema_version: int
    family: Literal["gan", "vae", "ae"]
    graphs: dict[str, Graph]
    sample: Sample
    latent: Latent
    class_names: tuple[str, ...]
    golden: Golden
    lineage: Lineage

    @model_validator(mode="after")
    def _consistent(self) -> Signature:
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(f"schema_version {self.schema_version} is not {SCHEMA_VERSION}")
        if self.latent.algorithm != ALGORITHM:
            raise ValueError(f"latent algorithm {self.latent.algorithm!r} is not {ALGORITHM!r}")
        expected = {"generator"} if self.family == "gan" else {"encoder", "decoder"}
        if set(self.graphs) != expected:
            raise ValueError(f"a bundle of family {self.family} holds {sorted(expected)}, not {sorted(self.graphs)}")
        files = [graph.file for graph in self.graphs.values()] + [self.golden.file]
        if len(set(files)) != len(files):
            raise ValueError("two entries name the same file")
        self._check_sampler()
        return self

    def _check_sampler(self) -> None:
        inputs = {tensor.name: (tensor.dtype, tensor.shape[1:]) for tensor in self.graphs[self.sampler].inputs}
        outputs = {tensor.name: (tensor.dtype, tensor.shape[1:]) for tensor in self.graphs[self.sampler].outputs}
        if inputs.pop("latent", None) != ("float32", (self.latent.size,)):
            raise ValueError(f"{self.sampler} must take latent float32 [N, {self.latent.size}]")
        if inputs.pop("label", ("int64", ())) != ("int64", ()) or inputs:
            raise ValueError(f"{self.sampler} may take latent and label int64 [N], nothing else")
        if self.conditional and not self.class_names:
            raise ValueError("a conditional model needs class_names")
        if self.sample.kind == "vector":
            needed = {"sample": ("float32", self.sample.shape)}
        elif len(self.sample.shape) != 3:
            raise ValueError("the shape of an image is [channels, height, width]")
        else:
            channels, height, width = self.sample.shape
            needed = {"image": ("float32", self.sample.shape), "pixels": ("uint8", (height, width, channels))}
        for name, kind in needed.items():
            if outputs.get(name) != kind:
                raise ValueError(f"{self.sampler} must give {name} {kind[0]} {[-1, *kind[1]]}")

        if self.family != "gan":
            self._check_encoder()

    def _check_encoder(self) -> None:
        outputs = {tensor.name: (tensor.dtype, tensor.shape[1:]) for tensor in self.graphs["encoder"].outputs}
        for name in ("mean", "log_variance") if self.family == "vae" else ("mean",):
            if outputs.get(name) != ("float32", (self.latent.size,)):
                raise ValueError(f"encoder must give {name} float32 [N, {self.latent.size}]")

    @property
    def sampler(self) -> str:
        """The name of the graph that makes samples."""
        return "generator" if self.family == "gan" else "decoder"

    @property
    def conditional(self) -> bool:
        """Whether samples are of a class."""
        return any(tensor.name == "label" for tensor in self.graphs[self.sampler].inputs)

    @property
    def golden_output(self) -> str:
        """The tensor that the golden file holds."""
        return "image" if self.sample.kind == "image" else "sample"


def parse_signature(content: bytes, where: str) -> Signature:
    """A signature from its JSON.

    Raises:
        BundleError: if it is not one that this server can rely on, naming the first thing wrong.
    """
    try:
        return Signature.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise BundleError(f"{where} is not valid: {path + ': ' if path else ''}{message}.", REMEDY) from error
