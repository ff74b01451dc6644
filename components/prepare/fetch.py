"""A Dataset from a durable place: each machine that trains fetches its own shards and no others."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlparse

from components.artifacts import sha256_of_file, write_bytes_atomically, write_document
from components.prepare.dataset import SHARE_NAME, Share, read_manifest, shards_of
from components.prepare.manifest import MANIFEST_NAME, Manifest, Shard
from components.scratch import one_at_a_time, private_directory
from models.errors import ArtifactError, ConfigurationError

Fetch = Callable[[str, Path], None]
"""Copies one file of the Dataset, by its path within it, to a place here."""


def is_remote(uri: str) -> bool:
    """Whether a Dataset has to be fetched before it can be opened."""
    return urlparse(uri).scheme in ("s3", "minio", "file")


def share_of_this_machine() -> Share:
    """The share that torchrun's environment gives this machine: all of it where it trains alone."""
    machines = int(os.environ.get("WORLD_SIZE", "1")) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return Share(index=int(os.environ.get("GROUP_RANK", "0")), count=machines)


def fetched_dataset(uri: str, share: Share) -> Path:
    """The directory on this machine that a Dataset's share is in; fetched by the first process that asks.

    Args:
        uri: ``s3://bucket/prefix``, ``minio://bucket/prefix`` or ``file:///path``.
        share: which of the training shards.

    Raises:
        ConfigurationError: for another scheme, or if there are fewer shards than machines.
        ArtifactError: if the Dataset is incomplete or its files are not what its manifest says.
        StorageError: if the place does not answer.
    """
    key = hashlib.sha256(f"{uri}\0{share.index}\0{share.count}".encode()).hexdigest()[:16]
    target = private_directory(f"ganvas-data-{key}")
    with one_at_a_time(target):
        fetch_share(uri, target, share)
    return target


def read_remote_manifest(uri: str) -> Manifest:
    """A Dataset's manifest, from where it lies.

    Raises:
        as :func:`fetched_dataset`.
    """
    with tempfile.TemporaryDirectory() as directory:
        _fetcher(uri)(MANIFEST_NAME, Path(directory) / MANIFEST_NAME)
        return read_manifest(Path(directory))


def fetch_share(uri: str, target: Path, share: Share) -> Manifest:
    """Fetch a manifest and the files that a share needs; files that are there already, and whole, stay.

    The first share has the validation split too: the process that reports needs it, and no other.
    """
    fetch = _fetcher(uri)
    with tempfile.TemporaryDirectory() as directory:
        fetch(MANIFEST_NAME, Path(directory) / MANIFEST_NAME)
        manifest = read_manifest(Path(directory))
        content = (Path(directory) / MANIFEST_NAME).read_bytes()
    if len(manifest.splits["train"].shards) < share.count:
        raise ConfigurationError(
            f"{uri} has {len(manifest.splits['train'].shards)} training shards for {share.count} machines.",
            "Prepare it again with a smaller data.shard_rows.",
        )
    if (target / MANIFEST_NAME).is_file() and (target / MANIFEST_NAME).read_bytes() != content:
        for path in target.iterdir():  # what was fetched from there before it was prepared anew
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shards = shards_of(manifest, "train", share) + (manifest.splits["validation"].shards if share.index == 0 else [])
    for shard in shards:
        _fetch_shard(fetch, shard, target, uri)
    write_document(target / SHARE_NAME, share)
    write_bytes_atomically(target / MANIFEST_NAME, content)
    return manifest


def _fetch_shard(fetch: Fetch, shard: Shard, target: Path, uri: str) -> None:
    for name, expected in ((shard.samples, shard.samples_sha256), (shard.labels, shard.labels_sha256)):
        path = target / name
        if path.is_file() and sha256_of_file(path) == expected:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        fetch(name, partial)
        if sha256_of_file(partial) != expected:
            raise ArtifactError(f"{uri}/{name} is not what its manifest says.", "Prepare the data again.")
        partial.replace(path)


def _fetcher(uri: str) -> Fetch:
    parts = urlparse(uri)
    if parts.scheme == "file":
        return _from_files(Path(parts.path))
    if parts.scheme in ("s3", "minio"):
        return _from_bucket(parts.netloc, parts.path.strip("/"))
    raise ConfigurationError(f"{uri} is not a place that data can be fetched from.", "Give s3://bucket/prefix.")


def _from_files(root: Path) -> Fetch:
    def fetch(name: str, target: Path) -> None:
        try:
            shutil.copyfile(root / name, target)
        except OSError as error:
            raise _missing(f"{root / name}") from error

    return fetch


def _from_bucket(bucket_name: str, prefix: str) -> Fetch:
    from components.storage.objects import Bucket

    bucket = Bucket(bucket_name)

    def fetch(name: str, target: Path) -> None:
        key = f"{prefix}/{name}" if prefix else name
        found = bucket.find(key)
        if found is None:
            raise _missing(f"s3://{bucket_name}/{key}")
        failed = bucket.download(found, target)
        if failed is not None:
            raise ArtifactError(f"s3://{bucket_name}/{key} cannot be read: {failed.reason}.", "Try again.")

    return fetch


def _missing(what: str) -> ArtifactError:
    return ArtifactError(f"{what} is not there.", "Name a finished Dataset, or prepare it again.")
