"""What kustomize makes of deploy/, by the kubectl that the environment brings."""

from __future__ import annotations

import copy
import functools
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"
KUBECTL = Path(sysconfig.get_path("scripts")) / "kubectl"
OVERLAYS = ("kind", "production", "production-kserve")


def overlay(name: str) -> list[Document]:
    """The documents of an overlay, to do with as one likes."""
    return copy.deepcopy(_rendered(DEPLOY / "overlays" / name))


def render(directory: Path) -> list[Document]:
    """What ``kubectl kustomize DIRECTORY`` prints."""
    command = [str(KUBECTL), "kustomize", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, f"kustomize warns: {done.stderr}"
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@functools.cache
def _rendered(directory: Path) -> list[Document]:
    return render(directory)


def one(documents: list[Document], kind: str, name: str) -> Document:
    """The one document of this kind and name; a name made of a content's hash is given without it."""
    found = [
        document
        for document in documents
        if document["kind"] == kind and (document["metadata"]["name"] == name or _unhashed(document) == name)
    ]
    assert len(found) == 1, f"{kind} {name}: {len(found)} of them"
    return found[0]


def _unhashed(document: Document) -> str:
    name: str = document["metadata"]["name"]
    return name.rpartition("-")[0] if document["kind"] == "ConfigMap" else name
