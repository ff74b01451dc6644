"""The graph as a version of its pipeline on the server: uploaded once for the same content."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.recipe import Recipe
from pipelines.compile import compile_to
from pipelines.remote.server import Server, identified
from pipelines.revision import code_revision
from pipelines.surroundings import Surroundings

DIGEST_DIGITS = 12


@dataclass(frozen=True)
class Graph:
    """A compiled graph. ``parameters`` are its definitions by name."""

    text: str
    pipeline_name: str
    description: str
    parameters: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Version:
    """A version of the pipeline on the server; ``is_new`` where it was uploaded just now."""

    pipeline_id: str
    version_id: str
    name: str
    is_new: bool


def compiled(recipe: Recipe, image: str, around: Surroundings) -> Graph:
    """The graph of a recipe.

    Raises:
        ConfigurationError: if no pod could use a store.
    """
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "pipeline.yaml"
        compile_to(recipe, image, path, around)
        text = path.read_text()
    document = next(yaml.safe_load_all(text))
    info = document["pipelineInfo"]
    parameters = document["root"]["inputDefinitions"]["parameters"]
    return Graph(text, str(info["name"]), str(info.get("description", "")), parameters)


def version_name(recipe_name: str, revision: str, text: str) -> str:
    """Recipe, code revision and content: the same name is the same content.

    Small letters, digits and ``-`` only, as Kubernetes wants names.
    """
    digest = hashlib.sha256(text.encode()).hexdigest()[:DIGEST_DIGITS]
    code, _, changed = revision.partition("-")
    parts = (recipe_name, code[:DIGEST_DIGITS] + (f"-{changed}" if changed else ""), digest)
    return re.sub(r"[^a-z0-9-]+", "-", "-".join(filter(None, parts)).lower())


def uploaded(server: Server, graph: Graph, recipe_name: str, image: str) -> Version:
    """The version that holds this graph, uploaded unless it is there already; the pipeline is made if missing.

    Raises:
        GanvasError: if the server does not answer or refuses.
    """
    name = version_name(recipe_name, code_revision(), graph.text)
    with server.explained():
        pipeline_id = _pipeline_id(server, graph) or _new_pipeline(server, graph)
        there = _version_id(server, pipeline_id, name)
        if there:
            return Version(pipeline_id, there, name, is_new=False)
        with tempfile.TemporaryDirectory() as directory:
            package = Path(directory) / "pipeline.yaml"
            package.write_text(graph.text)
            made = server.client.upload_pipeline_version(
                str(package), name, pipeline_id=pipeline_id, description=f"Recipe {recipe_name}, image {image}"
            )
            return Version(pipeline_id, identified(made.pipeline_version_id), name, is_new=True)


def _pipeline_id(server: Server, graph: Graph) -> str:
    found = server.client.list_pipelines(
        page_size=10, filter=_named(graph.pipeline_name), namespace=server.namespace
    ).pipelines
    return str(found[0].pipeline_id) if found else ""


def _new_pipeline(server: Server, graph: Graph) -> str:
    """An empty pipeline: uploading a file for it would make a version with the pipeline's name."""
    import kfp_server_api

    wanted = kfp_server_api.V2beta1Pipeline(
        name=graph.pipeline_name,
        display_name=graph.pipeline_name,
        description=graph.description,
        namespace=server.namespace,
    )
    return identified(server.client._pipelines_api.pipeline_service_create_pipeline(wanted).pipeline_id)


def _version_id(server: Server, pipeline_id: str, name: str) -> str:
    found = server.client.list_pipeline_versions(pipeline_id, page_size=10, filter=_named(name)).pipeline_versions
    return str(found[0].pipeline_version_id) if found else ""


def _named(name: str) -> str:
    """A filter of the API."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]})
