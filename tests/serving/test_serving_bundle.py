"""A bundle that is not whole, not itself, or not right is refused with one clear error."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from serving.bundle.reader import read_bundle
from serving.errors import BundleError
from serving.predict.model import load_model


def edit(directory: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = directory / "signature.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def replace(directory: Path, file: str, content: bytes) -> None:
    """Put other bytes in place of a file, with a signature that agrees."""
    (directory / file).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()

    def change(document: dict[str, Any]) -> None:
        for entry in (document["golden"], *document["graphs"].values()):
            if entry["file"] == file:
                entry["sha256"] = digest
                if "size_bytes" in entry:
                    entry["size_bytes"] = len(content)

    edit(directory, change)


def externalize(directory: Path) -> None:
    model = onnx.load_from_string((directory / "generator.onnx").read_bytes())
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], location="../../secret")
    model.graph.initializer[0].ClearField("raw_data")
    replace(directory, "generator.onnx", model.SerializeToString())


def externalize_in_subgraph(directory: Path) -> None:
    """An external tensor hidden in a constant of a branch."""
    model = onnx.load_from_string((directory / "generator.onnx").read_bytes())
    hidden = onnx.numpy_helper.from_array(np.zeros(3, dtype=np.float32), "hidden")
    onnx.external_data_helper.set_external_data(hidden, location="secret")
    branch = onnx.helper.make_graph([onnx.helper.make_node("Constant", [], ["x"], value=hidden)], "b", [], [])
    model.graph.node.append(onnx.helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch))
    replace(directory, "generator.onnx", model.SerializeToString())


def externalize_in_function(directory: Path) -> None:
    """An external tensor that a function's attribute has where none is given."""
    model = onnx.load_from_string((directory / "generator.onnx").read_bytes())
    hidden = onnx.numpy_helper.from_array(np.zeros(3, dtype=np.float32), "hidden")
    onnx.external_data_helper.set_external_data(hidden, location="secret")
    model.functions.add(name="f", domain="d").attribute_proto.append(onnx.helper.make_attribute("a", hidden))
    replace(directory, "generator.onnx", model.SerializeToString())


def externalize_behind_a_long_key(directory: Path) -> None:
    """A field's key of five bytes: of what is beyond 32 bits onnxruntime's protobuf knows nothing."""
    externalize(directory)
    content = (directory / "generator.onnx").read_bytes()
    key = content.index(onnx.load_from_string(content).graph.SerializeToString()) - 3  # and two bytes of length
    assert content[key] == 7 << 3 | 2
    replace(directory, "generator.onnx", content[:key] + b"\xba\x80\x80\x80\x10" + content[key + 1 :])


def link(directory: Path) -> None:
    (directory / "golden.npy").rename(directory.parent / "elsewhere.npy")
    (directory / "golden.npy").symlink_to(directory.parent / "elsewhere.npy")


def set_value(*path: str, to: Any) -> Callable[[Path], None]:
    def change(document: dict[str, Any]) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = to

    return lambda directory: edit(directory, change)


def other_golden(directory: Path) -> None:
    path = directory / "golden.npy"
    np.save(path, np.load(path) + np.float32(0.01))
    replace(directory, "golden.npy", path.read_bytes())


DEFECTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (shutil.rmtree, "no bundle"),
    "half-written": (lambda d: (d / "signature.json").unlink(), "half-written"),
    "graph missing": (lambda d: (d / "generator.onnx").unlink(), "half-written"),
    "golden missing": (lambda d: (d / "golden.npy").unlink(), "half-written"),
    "graph altered": (lambda d: (d / "generator.onnx").write_bytes(b"x"), "altered"),
    "golden altered": (lambda d: (d / "golden.npy").write_bytes(b"x"), "altered"),
    "signature not json": (lambda d: (d / "signature.json").write_text("{"), "not valid"),
    "signature of another version": (set_value("schema_version", to=2), "schema_version"),
    "another latent algorithm": (set_value("latent", "algorithm", to="mersenne"), "algorithm"),
    "a path upwards": (
        set_value("graphs", "generator", "file", to="../generator.onnx"),
        "graphs.generator.file",
    ),
    "an absolute path": (set_value("golden", "file", to="/etc/passwd"), "golden.file"),
    "another family": (set_value("family", to="vae"), "family vae"),
    "size wrong": (set_value("graphs", "generator", "size_bytes", to=5), "bytes"),
    "a link": (link, "not a regular file"),
    "external data": (externalize, "other files"),
    "external data in a branch": (externalize_in_subgraph, "other files"),
    "external data in a function": (externalize_in_function, "other files"),
    "external data behind a long key": (externalize_behind_a_long_key, "not an ONNX model"),
    "graph is not onnx": (lambda d: replace(d, "generator.onnx", b"\xff" * 50), "not an ONNX model"),
    "graph is empty onnx": (lambda d: replace(d, "generator.onnx", b"\x08\x08"), "cannot load"),
    "golden is not npy": (lambda d: replace(d, "golden.npy", b"x"), "not an .npy"),
    "golden differs": (other_golden, "golden check: differs"),
    "another latent size": (set_value("latent", "size", to=7), "latent float32"),
    "another count": (set_value("golden", "count", to=3), "must hold"),
}


@pytest.mark.parametrize(("defect", "words"), DEFECTS.values(), ids=DEFECTS)
def test_a_defect_is_named(make_bundle: Any, tmp_path: Path, defect: Callable[[Path], None], words: str) -> None:
    directory = Path(shutil.copytree(make_bundle(), tmp_path / "bundle"))
    defect(directory)
    with pytest.raises(BundleError, match=words) as caught:
        load_model(read_bundle(directory))
    assert "\n" not in str(caught.value)


def test_values_that_are_not_finite_are_refused(make_bundle: Any) -> None:
    with pytest.raises(BundleError, match="not finite"):
        load_model(read_bundle(make_bundle(nan=True)))


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"channels": 3},
        {"conditional": True},
        {"kind": "vector"},
        {"family": "vae"},
        {"family": "ae", "channels": 3, "conditional": True},
    ],
    ids=str,
)
def test_what_the_exporter_signs_loads_here(make_bundle: Any, properties: dict[str, Any]) -> None:
    from components.export.signature import Signature

    directory = make_bundle(**properties)
    Signature.model_validate_json((directory / "signature.json").read_bytes())  # the writer's own schema
    assert load_model(read_bundle(directory)).provider == "CPUExecutionProvider"


@pytest.mark.parametrize("missing", ["mean", "log_variance"])
def test_an_encoder_gives_what_its_family_is_asked_for(make_bundle: Any, tmp_path: Path, missing: str) -> None:
    directory = shutil.copytree(make_bundle(family="vae"), tmp_path / "bundle")

    def drop(document: dict[str, Any]) -> None:
        encoder = document["graphs"]["encoder"]
        encoder["outputs"] = [tensor for tensor in encoder["outputs"] if tensor["name"] != missing]

    edit(directory, drop)
    with pytest.raises(BundleError, match=f"encoder must give {missing}"):
        read_bundle(directory)
