"""What bodies and answers hold, as JSON Schema 2020-12."""

from __future__ import annotations

from typing import Any

from serving.http.query import LARGEST_INDEX, LARGEST_SEED
from serving.protocol.datatypes import DATATYPES

Schema = dict[str, Any]


def reference(name: str) -> Schema:
    """A named schema's use."""
    return {"$ref": f"#/components/schemas/{name}"}


def _record(required: dict[str, Schema], optional: dict[str, Schema] | None = None, *, closed: bool = False) -> Schema:
    schema: Schema = {"type": "object", "required": list(required), "properties": required | (optional or {})}
    return schema | {"additionalProperties": False} if closed else schema


def _list(items: Schema, **bounds: int) -> Schema:
    return {"type": "array", "items": items, **bounds}


_TEXT: Schema = {"type": "string"}
_TRUTH: Schema = {"type": "boolean"}
_SIZES = _list({"type": "integer", "minimum": 1}, minItems=1, maxItems=8)
_DATATYPE: Schema = {"enum": list(DATATYPES)}
_LATENT = _list({"type": "number"}, minItems=1) | {"description": "one number for each dimension of the latent space"}
_TENSORS = _list(_record({"name": _TEXT, "datatype": _DATATYPE, "shape": _list({"type": "integer"})}))

SCHEMAS: dict[str, Schema] = {
    "Error": _record({"error": {"type": "string", "minLength": 1, "description": "what is wrong, and what to do"}}),
    "Server": _record({"name": {"const": "ganvas"}, "version": _TEXT, "extensions": _list(_TEXT)}),
    "Live": _record({"live": {"const": True}}),
    "Ready": _record({"ready": {"const": True}}),
    "ModelReady": _record({"name": _TEXT, "ready": {"const": True}}),
    "IndexRequest": _record({}, {"ready": _TRUTH | {"description": "only models that answer"}}),
    "Index": _list(
        _record({"name": _TEXT, "version": _TEXT, "state": {"enum": ["READY", "UNAVAILABLE"]}, "reason": _TEXT})
    ),
    "Model": _record(
        {
            "name": _TEXT,
            "versions": _list(_TEXT),
            "platform": _TEXT,
            "inputs": _TENSORS,
            "outputs": _TENSORS,
            "parameters": _record(
                {
                    "graphs": {"type": "object"},
                    "family": {"enum": ["gan", "vae", "ae"]},
                    "class_names": _list(_TEXT),
                    "latent_algorithm": _TEXT,
                }
            ),
        }
    ),
    "InferRequest": _record(
        {
            "inputs": _list(
                _record(
                    {
                        "name": _TEXT,
                        "datatype": _DATATYPE,
                        "shape": _SIZES,
                        "data": {"type": "array", "description": "flat, or nested as the shape says"},
                    },
                    {"parameters": {"type": "object"}},
                ),
                minItems=1,
            )
        },
        {
            "id": _TEXT,
            "outputs": _list(_record({"name": _TEXT}, {"parameters": {"type": "object"}})),
            "parameters": {"type": "object"},
        },
    ),
    "InferAnswer": _record(
        {
            "model_name": _TEXT,
            "model_version": _TEXT,
            "outputs": _list(
                _record({"name": _TEXT, "datatype": _DATATYPE, "shape": _list({"type": "integer"}), "data": _list({})})
            ),
        },
        {"id": _TEXT},
    ),
    "LatentPair": _record({"from": _LATENT, "to": _LATENT}, closed=True),
    "LatentPlace": _record(
        {},
        {
            "latent": _LATENT,
            "seed": {"type": "integer", "minimum": 0, "maximum": LARGEST_SEED, "default": 0},
            "index": {"type": "integer", "minimum": 0, "maximum": LARGEST_INDEX, "default": 0},
        },
        closed=True,
    )
    | {
        "description": "The noise is that of indices index + 1, index + 2, ... of the seed; the latent is the one of "
        "the index, unless it is given."
    },
    "PictureForm": _record({"file": {"type": "string", "contentMediaType": "application/octet-stream"}}),
    "Encoded": _record(
        {"model_name": _TEXT, "model_version": _TEXT, "mean": _list({"type": "number"})},
        {"log_variance": _list({"type": "number"}) | {"description": "of a VAE"}},
    ),
}
