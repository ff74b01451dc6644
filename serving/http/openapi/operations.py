"""The table of what can be asked: one row a method and an address."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from serving.http.openapi.schemas import reference
from serving.http.parameters import Parameter
from serving.http.query import (
    images_parameters,
    interpolation_parameters,
    neighbours_parameters,
    reconstruction_parameters,
)
from serving.settings import Settings

Content = dict[str, dict[str, Any]]
"""A schema for each media type; an empty one says that the content is no JSON."""


def _json(name: str) -> Content:
    return {"application/json": reference(name)}


_TEXT: dict[str, Any] = {"type": "string"}
_SAMPLES: Content = {
    media_type: {}
    for media_type in (
        *("image/png", "image/webp", "image/jpeg", "application/octet-stream"),
        *("application/zip", "multipart/mixed"),
    )
}
_ALONE: Content = {name: {} for name in list(_SAMPLES)[:4]}
_PICTURE: Content = {
    **{name: {} for name in ("image/png", "image/jpeg", "image/webp", "application/octet-stream")},
    "multipart/form-data": reference("PictureForm"),
}
_OF_BODIES = (400, 408, 413, 415, 503)
_OF_MODELS = (404, 503)


@dataclass(frozen=True)
class Operation:
    """What can be asked at one address by one method.

    Attributes:
        errors: statuses that its answers may have besides 200; all of them are an error's JSON.
        body_required: whether a request without a body is wrong.
    """

    name: str
    method: str
    path: str
    summary: str
    answer: Content
    parameters: tuple[Parameter, ...] = ()
    body: Content = field(default_factory=dict)
    body_required: bool = True
    errors: tuple[int, ...] = ()
    description: str = ""

    @property
    def of_model(self) -> bool:
        """Whether its answers name a model's version."""
        return "{model}" in self.path


def operations(settings: Settings) -> Iterator[Operation]:
    """All of them, with the limits that the settings give."""
    yield from _of_server()
    for suffix, path in (("", "/v2/models/{model}"), ("_version", "/v2/models/{model}/versions/{version}")):
        yield from _of_protocol(path, suffix)
    yield from _of_samples(settings.max_images)
    yield from _of_pictures()


def _of_server() -> Iterator[Operation]:
    yield Operation("page", "get", "/", "The page, for people", {"text/html": _TEXT})
    yield Operation("page_style", "get", "/page.css", "The page's style", {"text/css": _TEXT})
    yield Operation("page_script", "get", "/page.js", "The page's script", {"text/javascript": _TEXT})
    yield Operation("openapi", "get", "/openapi.json", "This document", {"application/json": {"type": "object"}})
    yield Operation("metrics", "get", "/metrics", "What Prometheus scrapes", {"text/plain": _TEXT})
    yield Operation("server", "get", "/v2", "The server's name and version", _json("Server"))
    yield Operation("live", "get", "/v2/health/live", "Whether the process answers", _json("Live"))
    yield Operation(
        "ready", "get", "/v2/health/ready", "Whether every model has a version", _json("Ready"), errors=(503,)
    )
    yield Operation(
        "index",
        "post",
        "/v2/repository/index",
        "The models, and why one does not answer",
        _json("Index"),
        body=_json("IndexRequest"),
        body_required=False,
        errors=_OF_BODIES,
    )


def _of_protocol(path: str, suffix: str) -> Iterator[Operation]:
    yield Operation("model" + suffix, "get", path, "A model's tensors", _json("Model"), errors=_OF_MODELS)
    yield Operation(
        "model_ready" + suffix,
        "get",
        path + "/ready",
        "Whether the model has a version",
        _json("ModelReady"),
        errors=_OF_MODELS,
    )
    yield Operation(
        "infer" + suffix,
        "post",
        path + "/infer",
        "Run a graph, by the Open Inference Protocol v2",
        _json("InferAnswer") | {"application/octet-stream": {}},
        body=_json("InferRequest") | {"application/octet-stream": {}},
        errors=_merged(_OF_MODELS, _OF_BODIES),
        description="Tensors may be binary, after the JSON whose length the header Inference-Header-Content-Length "
        "says; 0 stands for one tensor without any JSON.",
    )


def _of_samples(max_images: int) -> Iterator[Operation]:
    yield Operation(
        "images",
        "get",
        "/v1/models/{model}/images",
        "Samples of a seed",
        _SAMPLES,
        images_parameters(max_images),
        errors=(400, *_OF_MODELS),
        description="Latent i follows from the seed and i alone, by the algorithm that the model's metadata names. "
        "With a truncation psi below 1 it is psi z: the prior N(0, I) becomes N(0, psi^2 I).",
    )
    path = "/v1/models/{model}/interpolate"
    yield Operation(
        "interpolate",
        "get",
        path,
        "A path between two latents that seeds name",
        _SAMPLES,
        interpolation_parameters(max_images, seeds=True),
        errors=(400, *_OF_MODELS),
    )
    yield Operation(
        "interpolate_latents",
        "post",
        path,
        "A path between two latents",
        _SAMPLES,
        interpolation_parameters(max_images, seeds=False),
        body=_json("LatentPair"),
        errors=_merged(_OF_MODELS, _OF_BODIES),
    )
    path = "/v1/models/{model}/neighbours"
    about = (
        "A neighbour of z is z cos(t) + e sin(t), t = radius pi / 2, with noise e of the prior: it stays on its shell."
    )
    yield Operation(
        "neighbours",
        "get",
        path,
        "Samples around a latent that a seed names",
        _SAMPLES,
        neighbours_parameters(max_images, seeds=True),
        errors=(400, *_OF_MODELS),
        description=about,
    )
    yield Operation(
        "neighbours_of_latent",
        "post",
        path,
        "Samples around a latent",
        _SAMPLES,
        neighbours_parameters(max_images, seeds=False),
        body=_json("LatentPlace"),
        errors=_merged(_OF_MODELS, _OF_BODIES),
        description=about,
    )


def _of_pictures() -> Iterator[Operation]:
    yield Operation(
        "encode",
        "post",
        "/v1/models/{model}/encode",
        "The latent of a picture (VAE, AE)",
        _json("Encoded"),
        body=_PICTURE,
        errors=_merged(_OF_MODELS, _OF_BODIES),
    )
    yield Operation(
        "reconstruct",
        "post",
        "/v1/models/{model}/reconstruct",
        "What the model keeps of a picture (VAE, AE)",
        _ALONE,
        reconstruction_parameters(),
        body=_PICTURE,
        errors=_merged(_OF_MODELS, _OF_BODIES),
    )


def _merged(*errors: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted({status for group in errors for status in group}))
