"""A bundle directory, read once and verified: what is hashed is what is run."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from serving.bundle.onnx_file import has_external_data
from serving.bundle.signature import REMEDY, SIGNATURE_NAME, Signature, parse_signature
from serving.errors import BundleError


@dataclass(frozen=True)
class Bundle:
    """The verified contents of a bundle."""

    signature: Signature
    signature_sha256: str
    """Of ``signature.json``, and by the hashes in it of the whole bundle."""
    graphs: dict[str, bytes]
    """Serialized ONNX by the graph's name."""
    golden: npt.NDArray[np.float32]
    """float32 [golden.count, ...]: the sampler's ``image`` or ``sample`` on the exporting machine."""


def read_bundle(directory: Path) -> Bundle:
    """Read and verify a bundle.

    Raises:
        BundleError: if it is missing, half-written, altered, or reaches outside its directory.
    """
    document = signature_bytes(directory)
    signature = parse_signature(document, str(directory / SIGNATURE_NAME))
    graphs = {}
    for name, graph in signature.graphs.items():
        path = directory / graph.file
        content = _verified(path, graph.sha256)
        if len(content) != graph.size_bytes:
            raise BundleError(f"{path} has {len(content)} bytes, its signature says {graph.size_bytes}.", REMEDY)
        if has_external_data(content):
            raise BundleError(f"{path} keeps tensors in other files.", "Export it as one file, without external data.")
        graphs[name] = content
    golden_path = directory / signature.golden.file
    golden = _golden(_verified(golden_path, signature.golden.sha256), golden_path)
    expected = (signature.golden.count, *signature.sample.shape)
    if golden.shape != expected or golden.dtype != np.float32 or not np.isfinite(golden).all():
        raise BundleError(f"{golden_path} must hold finite float32 {list(expected)}.", REMEDY)
    return Bundle(signature, hashlib.sha256(document).hexdigest(), graphs, golden)


def signature_bytes(directory: Path) -> bytes:
    """What stands in a bundle's ``signature.json``, unverified.

    Raises:
        BundleError: if the directory, or the file in it, is not there or cannot be read.
    """
    if not directory.is_dir():
        raise BundleError(f"There is no bundle at {directory}.", "Name the directory that `ganvas export` wrote.")
    path = directory / SIGNATURE_NAME
    if not path.exists():
        state = "is half-written: it has no" if any(directory.iterdir()) else "is empty: it has no"
        raise BundleError(f"{directory} {state} {SIGNATURE_NAME}.", REMEDY)
    return _read(path)


def _read(path: Path) -> bytes:
    # A link inside a bundle could show any file of this machine.
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise BundleError(f"{path} is not a regular file.", REMEDY)
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise BundleError(f"{path.parent} is half-written: it has no {path.name}.", REMEDY) from error
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}.", REMEDY) from error


def _verified(path: Path, sha256: str) -> bytes:
    content = _read(path)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise BundleError(f"{path} was altered: its SHA-256 is {found[:12]}..., not {sha256[:12]}....", REMEDY)
    return content


def _golden(content: bytes, path: Path) -> npt.NDArray[np.float32]:
    try:
        loaded: npt.NDArray[np.float32] = np.load(io.BytesIO(content), allow_pickle=False)
        return loaded
    except (ValueError, EOFError, OSError) as error:
        raise BundleError(f"{path} is not an .npy array.", REMEDY) from error
