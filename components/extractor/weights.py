"""Weights of networks that are not trained here: a file, a web address or a bucket, by their hash."""

from __future__ import annotations

import shutil
import tempfile
import urllib.request
from hashlib import sha256
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlparse

import torch
from torch import Tensor

from components.artifacts import sha256_of_file
from components.scratch import one_at_a_time, private_directory
from components.storage.objects import Bucket
from models.errors import ConfigurationError

INCEPTION = "weights-inception-2015-12-05-6726825d.pth"
_SECONDS = 60


def read_weights(uri: str, expected_sha256: str = "") -> tuple[dict[str, Tensor], str]:
    """A state dict and the hash of its file.

    Args:
        uri: a path, https://..., or s3://bucket/key; fetched once by this user for each file expected there.
        expected_sha256: what the file must be, where it is known.

    Raises:
        ConfigurationError: if it cannot be had, is another file than expected, or no state dict.
        StorageError: if a bucket does not answer.
    """
    path = _fetched(uri, expected_sha256)
    digest = _checked_hash(uri, path, expected_sha256)
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of foreign bytes torch, pickle and zip raise unrelated kinds
        raise ConfigurationError(
            f"{uri} holds no weights that can be read: {type(error).__name__}.", _remedy()
        ) from error
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise ConfigurationError(f"{uri} is no state dict of tensors.", _remedy())
    return weights, digest


def _checked_hash(uri: str, path: Path, expected_sha256: str) -> str:
    digest = sha256_of_file(path)
    if expected_sha256 and digest != expected_sha256:
        raise ConfigurationError(
            f"{uri} has the hash {digest[:16]}…, not {expected_sha256[:16]}….", "Correct extractor.weights_sha256."
        )
    return digest


def _fetched(uri: str, expected_sha256: str) -> Path:
    scheme = urlparse(uri).scheme
    if not uri:
        raise ConfigurationError("extractor.weights is not set.", _remedy())
    if scheme in ("", "file"):
        path = Path(uri.removeprefix("file://")).expanduser()
        if not path.is_file():
            raise ConfigurationError(f"{path} is not there.", _remedy())
        return path
    place = private_directory("ganvas-weights")
    # What lies there may have been replaced since: who expects another file fetches it, and takes none from the rest.
    target = place / sha256(f"{uri} {expected_sha256}".encode()).hexdigest()
    with one_at_a_time(place):
        if not target.is_file() or (expected_sha256 and sha256_of_file(target) != expected_sha256):
            with tempfile.TemporaryDirectory(dir=place) as work:
                partial = Path(work) / "weights"
                _fetch(uri, scheme, partial)
                _checked_hash(uri, partial, expected_sha256)
                partial.replace(target)
    return target


def _fetch(uri: str, scheme: str, target: Path) -> None:
    if scheme in ("s3", "minio"):
        parts = urlparse(uri)
        bucket = Bucket(parts.netloc)
        found = bucket.find(parts.path.strip("/"))
        if found is None:
            raise ConfigurationError(f"{uri} is not there.", _remedy())
        failed = bucket.download(found, target)
        if failed is not None:
            raise ConfigurationError(f"{uri} cannot be read: {failed.reason}.", _remedy())
        return
    if scheme != "https":
        raise ConfigurationError(f"{uri} is neither a file nor at https:// or s3://.", _remedy())
    try:
        with urllib.request.urlopen(uri, timeout=_SECONDS) as answer, target.open("wb") as stream:
            shutil.copyfileobj(answer, stream)
            if answer.length:  # reading in parts takes an early end for the end
                raise OSError(f"{answer.length:,} bytes are missing")
    except (HTTPException, OSError) as error:
        raise ConfigurationError(f"{uri} cannot be fetched: {getattr(error, 'reason', error)}.", _remedy()) from error


def _remedy() -> str:
    return (
        "Name a file, https:// or s3:// address in extractor.weights. For kind inception it is "
        f"{INCEPTION} of torch-fidelity's releases; for torchvision a state dict of extractor.architecture."
    )
