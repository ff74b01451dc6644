"""``extractor.json``: the document that completes an Extractor."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from components.artifacts import Document

EXTRACTOR_NAME = "extractor.json"
EXTRACTOR_GRAPH_NAME = "extractor.onnx"


class Extractor(Document):
    """An ONNX graph from samples to features and mode logits, and how good it is.

    Input ``pixels`` uint8 [N, H, W, C] (or ``sample`` float32 [N, D]); outputs ``features`` float32 [N, d] and
    ``logits`` float32 [N, K]. The mode of a sample is the argmax of its logits.
    """

    kind: Literal["classifier", "clusters", "nearest-center"] = Field(description="how modes are told apart")
    features: str = Field(default="classifier", description="whose they are")
    weights_sha256: str = Field(default="", description="of the file of weights that was read, if any")
    sha256: str = Field(description="of the graph; carried by every number computed with it")
    feature_width: int
    mode_names: list[str]
    held_out_accuracy: float | None = Field(
        description="on the test split, against its labels; none where there are no labels"
    )
    dataset_fingerprint: str
