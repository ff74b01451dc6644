"""``signature.json``: what a bundle promises to whoever runs it."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from components.artifacts import Document
from models.config import LikelihoodKind, Settings

SIGNATURE_NAME = "signature.json"
LATENT_ALGORITHM: Final = "philox4x64-10/box-muller/float32"


class TensorSpecification(Settings):
    """A named input or output. -1 stands for the batch axis N, which is dynamic everywhere."""

    name: str
    dtype: Literal["float32", "int64", "uint8"]
    shape: list[int]


class Graph(Settings):
    """One ONNX file, without external data."""

    file: str = Field(pattern=r"^[a-z0-9_]+\.onnx$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=1)
    inputs: list[TensorSpecification]
    outputs: list[TensorSpecification]


class SampleSpecification(Settings):
    """What one sample is: a picture ``[channels, height, width]`` or a vector ``[dimensions]``."""

    kind: Literal["image", "vector"]
    shape: list[int]
    value_range: tuple[float, float] | None = Field(
        default=None, description="range of the `image` tensor; none for vectors"
    )
    fit: Literal["crop", "pad"] = Field(
        default="crop",
        description="how the data's pictures became squares, and others should: their centre, or whole with the "
        "border repeated",
    )


class Latent(Settings):
    """The latent space and how a latent follows from (seed, index)."""

    size: int = Field(ge=1)
    prior: Literal["standard-normal"] = "standard-normal"
    algorithm: Literal["philox4x64-10/box-muller/float32"] = LATENT_ALGORITHM


class Likelihood(Settings):
    """p(x|z) of a VAE: with the decoder's ``location`` all that a bound on the log-likelihood needs."""

    kind: LikelihoodKind
    log_scale: float | None = Field(
        default=None,
        description="logarithm of the gaussian's variance, or of the logistic's scale; none of a bernoulli",
    )
    binarized: bool = Field(default=False, description="whether pixels are drawn black or white, grey being the chance")


class Golden(Settings):
    """What the exporting machine got for the first latents of a seed: a check after loading elsewhere.

    Where the graph takes a ``label``, index i is of class i modulo the number of classes.

    The file is float32 .npy: the `image` or `sample` tensor for indices 0 .. count-1 of the seed.
    """

    file: str = "golden.npy"
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    seed: int = 0
    count: int = Field(ge=1)
    tolerance: float = Field(default=1e-3, description="largest absolute difference allowed on another machine")


class Parity(Settings):
    """Torch against onnxruntime on the same latents."""

    max_absolute_error: float
    tolerance: float
    batch_sizes: list[int]


class Lineage(Settings):
    """Where the bundle comes from. Empty strings stand for "not part of a pipeline run"."""

    recipe: str
    recipe_sha256: str
    dataset_name: str
    dataset_fingerprint: str
    images_seen: int
    seed: int
    code_revision: str = ""
    pipeline_run_id: str = ""
    mlflow_run_id: str = ""


class Signature(Document):
    """The document that completes a bundle.

    ``graphs`` holds ``generator`` (a GAN), or ``encoder`` and ``decoder`` (a VAE or AE). The graph that
    makes samples is ``generator`` or ``decoder``: input ``latent`` float32 [N, Z] and, of a conditional model,
    ``label`` int64 [N]; outputs ``image``
    float32 [N, C, H, W] in [0, 1] and ``pixels`` uint8 [N, H, W, C] (rounded), or ``sample`` float32
    [N, D] for vectors. An encoder takes ``pixels`` uint8 [N, H, W, C] and gives ``mean`` float32 [N, Z]
    and, for a VAE, ``log_variance`` float32 [N, Z].
    """

    family: Literal["gan", "vae", "ae"]
    graphs: dict[Literal["generator", "encoder", "decoder"], Graph]
    sample: SampleSpecification
    latent: Latent
    class_names: list[str]
    likelihood: Likelihood | None = Field(default=None, description="of a VAE's pixels or vectors")
    golden: Golden
    parity: Parity
    parameters: dict[str, int] = Field(description="trainable parameters of each exported network")
    lineage: Lineage

    @property
    def sampler(self) -> Literal["generator", "decoder"]:
        """The name of the graph that makes samples."""
        return "generator" if self.family == "gan" else "decoder"
