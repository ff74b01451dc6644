"""Files of a bucket that hold many samples each: downloaded once, read from here."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from components.prepare.sources.held import Held
from components.scratch import one_at_a_time, private_directory
from components.storage.objects import Bucket, ObjectInfo
from components.storage.retry import Retry
from models.errors import SourceError, StorageError


def fetched(bucket_name: str, key: str, retry: Retry | None = None) -> Held:
    """An object as a local file, verified; one download for all processes of this machine and user.

    It lies under the directory for temporary files and stays there; a newer version of the object replaces it. Its
    stamp is the ETag, so that listings are the same wherever it was downloaded.

    Raises:
        SourceError: if it is not there, or cannot be read.
    """
    place = f"s3://{bucket_name}/{key}"
    try:
        bucket = Bucket(bucket_name, retry)
        found = bucket.find(key)
        if found is None:
            raise SourceError(f"{place} is not there.", "Name an object, or a prefix that has pictures.")
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
        directory = (
            private_directory("ganvas-objects") / hashlib.sha256(f"{endpoint}\0{place}".encode()).hexdigest()[:32]
        )
        directory.mkdir(mode=0o700, exist_ok=True)
        name = key.rpartition("/")[2]
        whole = directory / hashlib.sha256(f"{found.etag}\0{found.size_bytes}".encode()).hexdigest()[:32] / name
        with one_at_a_time(directory):
            if not whole.is_file():
                _download(bucket, found, directory, whole)
        return Held(whole, name, found.etag)
    except StorageError as error:
        raise SourceError(error.message, error.remedy) from error
    except OSError as error:
        raise SourceError(
            f"{place} cannot be kept under {tempfile.gettempdir()}: {error.strerror}.",
            "Set TMPDIR to where there is room.",
        ) from error


def _download(bucket: Bucket, found: ObjectInfo, directory: Path, whole: Path) -> None:
    for old in directory.glob("*/*"):
        old.unlink()
    whole.parent.mkdir(mode=0o700, exist_ok=True)
    partial = directory / "partial"
    failed = bucket.download(found, partial)
    if failed is not None:
        partial.unlink()
        raise SourceError(f"s3://{bucket.name}/{found.key}: {failed.reason}.", "Look at the object, and run again.")
    partial.replace(whole)
