"""What the routes that answer samples take in their query."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from starlette.datastructures import QueryParams

from serving.bundle.signature import Signature
from serving.errors import MalformedRequest
from serving.http.parameters import Parameter, choice, read_parameters, read_whole, share, text, whole
from serving.pictures.files import FORMATS, LAYOUTS, RECONSTRUCTION_LAYOUTS, Format, Layout, ReconstructionLayout
from serving.predict.space import PATHS, Path

_DEFAULT_COUNT = 16
_DEFAULT_STEPS = 8
_DEFAULT_RADIUS = 0.3
LARGEST_SEED = 2**64 - 1
LARGEST_INDEX = 2**53 - 1  # what every JSON reader keeps exact

_FORMAT = choice("format", "of each file; vectors have npy alone", FORMATS)
_LAYOUT = choice("layout", "one picture of all, or a file of each", LAYOUTS)
_SEED = whole("seed", "of the latents", 0, LARGEST_SEED, 0)


@dataclass(frozen=True)
class ImagesQuery:
    """Which samples are wanted, and how."""

    count: int
    seed: int
    label: int | None
    truncation: float
    format: Format
    layout: Layout


@dataclass(frozen=True)
class InterpolationQuery:
    """Between which latents, in how many steps, and how. The places are absent if the body holds the latents."""

    start: tuple[int, int]
    """Seed and index."""
    end: tuple[int, int]
    steps: int
    path: Path
    label: int | None
    format: Format
    layout: Layout


@dataclass(frozen=True)
class NeighboursQuery:
    """How many neighbours, how far away, and of which noise."""

    count: int
    radius: float
    seed: int
    index: int
    label: int | None
    format: Format
    layout: Layout


@dataclass(frozen=True)
class ReconstructionQuery:
    """Of which class, and how it is answered."""

    label: int | None
    format: Format
    layout: ReconstructionLayout


@cache
def images_parameters(max_images: int) -> tuple[Parameter, ...]:
    """Of the images route."""
    return (
        _count(max_images),
        _SEED,
        _label("index i is of class i modulo the number of classes"),
        share("truncation", "psi: every latent is multiplied by it; 1 changes nothing", 1.0),
        _FORMAT,
        _LAYOUT,
    )


@cache
def interpolation_parameters(max_images: int, *, seeds: bool) -> tuple[Parameter, ...]:
    """Of the interpolation route: with ``seeds`` the ends are named in the query, otherwise in the body."""
    ends = (
        whole("from", "seed of the first latent", 0, LARGEST_SEED),
        whole("to", "seed of the last latent", 0, LARGEST_SEED),
        whole("from_index", "index of the first latent within its seed", 0, LARGEST_INDEX, 0),
        whole("to_index", "index of the last latent within its seed", 0, LARGEST_INDEX, 0),
    )
    otherwise = "class from_index modulo the number of classes" if seeds else "class 0"
    return (
        *(ends if seeds else ()),
        whole("steps", "samples, both ends included", 2, max_images, min(_DEFAULT_STEPS, max_images)),
        choice("path", "along the great circle of the directions, or along the chord", PATHS),
        _label(otherwise),
        _FORMAT,
        _LAYOUT,
    )


@cache
def neighbours_parameters(max_images: int, *, seeds: bool) -> tuple[Parameter, ...]:
    """Of the neighbours route: with ``seeds`` the place is named in the query, otherwise in the body."""
    place = (_SEED, whole("index", "of the latent within its seed", 0, LARGEST_INDEX, 0))
    return (
        _count(max_images),
        share("radius", "share of a quarter turn from the latent to the noise", _DEFAULT_RADIUS),
        *(place if seeds else ()),
        _label("class index modulo the number of classes"),
        _FORMAT,
        _LAYOUT,
    )


@cache
def reconstruction_parameters() -> tuple[Parameter, ...]:
    """Of the reconstruction route."""
    return (
        _label("class 0"),
        _FORMAT,
        choice("layout", "the reconstruction alone, or the picture beside it", RECONSTRUCTION_LAYOUTS),
    )


def read_images_query(query: QueryParams, signature: Signature, max_images: int) -> ImagesQuery:
    """A query for samples of a model.

    Raises:
        MalformedRequest: if a value is out of range, unknown, or given twice.
    """
    values = read_parameters(query, images_parameters(max_images))
    return ImagesQuery(count=values.pop("n"), **_with_label(values, signature))


def read_interpolation_query(
    query: QueryParams, signature: Signature, max_images: int, *, seeds: bool
) -> InterpolationQuery:
    """A query for a path through the latent space.

    Raises:
        MalformedRequest: if a value is out of range, unknown, missing, or given twice.
    """
    values = read_parameters(query, interpolation_parameters(max_images, seeds=seeds))
    start = values.pop("from", 0), values.pop("from_index", 0)
    end = values.pop("to", 0), values.pop("to_index", 0)
    return InterpolationQuery(start=start, end=end, **_with_label(values, signature))


def read_neighbours_query(query: QueryParams, signature: Signature, max_images: int, *, seeds: bool) -> NeighboursQuery:
    """A query for the neighbours of a latent.

    Raises:
        MalformedRequest: if a value is out of range, unknown, or given twice.
    """
    values = {"seed": 0, "index": 0} | read_parameters(query, neighbours_parameters(max_images, seeds=seeds))
    return NeighboursQuery(count=values.pop("n"), **_with_label(values, signature))


def read_reconstruction_query(query: QueryParams, signature: Signature) -> ReconstructionQuery:
    """A query for the reconstruction of a picture.

    Raises:
        MalformedRequest: if a value is unknown, or given twice.
    """
    return ReconstructionQuery(**_with_label(read_parameters(query, reconstruction_parameters()), signature))


def _count(max_images: int) -> Parameter:
    return whole("n", "how many samples", 1, max_images, min(_DEFAULT_COUNT, max_images))


def _label(otherwise: str) -> Parameter:
    return text("label", f"class of a conditional model, by its name or its number; otherwise {otherwise}")


def _with_label(values: dict[str, Any], signature: Signature) -> dict[str, Any]:
    """The values with the class's number in place of its text: a name wins over a number."""
    label = values["label"]
    if label is None:
        return values
    if not signature.conditional:
        raise MalformedRequest("this model is unconditional: it takes no label.")
    names = signature.class_names
    number = names.index(label) if label in names else read_whole("label", label, 0, len(names) - 1)
    return values | {"label": number}
