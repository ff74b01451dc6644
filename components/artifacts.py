"""Directories that cross from one step to the next.

Each holds one JSON document with ``schema_version``, written last and atomically. A directory without it
is incomplete and refused by name: whoever reads an artifact never sees half of one.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal, TypeVar

from pydantic import ValidationError

from models.config import Settings
from models.errors import ArtifactError


class Document(Settings):
    """The JSON document that makes a directory complete."""

    schema_version: Literal[1] = 1


DocumentT = TypeVar("DocumentT", bound=Document)


def sha256_of_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in constant memory."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_json(value: object) -> str:
    """Hex SHA-256 of a JSON value in one canonical spelling."""
    return hashlib.sha256(
        json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    ).hexdigest()


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Write a file so that its name never stands for less than its whole content.

    Temporary name in the same directory, fsync, rename, fsync of the directory.
    """
    with written_atomically(path) as stream:
        stream.write(content)


@contextmanager
def written_atomically(path: Path) -> Iterator[IO[bytes]]:
    """A stream to write a file by, which has its name once all of it is there; nothing is left after an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:  # an interrupt, too, leaves nothing behind
        Path(temporary).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def write_document(path: Path, document: Document) -> None:
    """Write the document that completes a directory; everything else must already be there."""
    write_bytes_atomically(path, (document.model_dump_json(indent=2) + "\n").encode())


def read_document(directory: Path, name: str, kind: type[DocumentT]) -> DocumentT:
    """Read and validate the document that completes ``directory``.

    Raises:
        ArtifactError: if it is missing (incomplete directory), unreadable, or of another version or shape.
    """
    path = directory / name
    if not path.is_file():
        state = "is half-written: it has no" if directory.is_dir() and any(directory.iterdir()) else "has no"
        raise ArtifactError(
            f"{directory} {state} {name}.", "Run the step that makes it again, or name a finished directory."
        )
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ArtifactError(
            f"{path} is not a valid {kind.__name__}: {first_problem(error)}.",
            "It was made by another version or altered; run the step that makes it again.",
        ) from error


def first_problem(error: ValidationError) -> str:
    """Where and why, of the first field that is not valid."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where + ': ' if where else ''}{first['msg']}"


def prepare_output_directory(directory: Path, document_name: str) -> None:
    """Make an output directory ready to be filled.

    A finished artifact is not overwritten silently; what an earlier, interrupted attempt left is kept, for
    the steps that go on from it.

    Raises:
        ArtifactError: if a finished artifact lies there, or the directory cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise ArtifactError(
            f"Cannot write to {directory}: {error.strerror}.", "Choose another directory with --out."
        ) from error
    if (directory / document_name).exists():
        raise ArtifactError(
            f"{directory} already holds a finished {document_name}.",
            "Choose another directory with --out, or remove this one.",
        )


@contextmanager
def alone_in(directory: Path, lock_name: str) -> Iterator[None]:
    """One process at a time in a directory: two would mix their results.

    Raises:
        ArtifactError: if another process is at work there.
    """
    path = directory / lock_name
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                raise BlockingIOError  # its owner has removed it in between, and somebody made another
        except OSError as error:
            raise ArtifactError(
                f"Another run is going on in {directory}.", "Wait for it, or choose another directory with --out."
            ) from error
        yield
        path.unlink()


def is_taken(directory: Path, lock_name: str) -> bool:
    """Whether a process is at work in a directory. A lock's file that a killed one left says nothing."""
    try:
        with (directory / lock_name).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return False


def full_disk(error: OSError) -> ArtifactError | None:
    """The error for people where there is no room to write; None for any other."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    return ArtifactError(
        f"{error.strerror}{f': {error.filename}' if error.filename else ''}.", "Make room, and run the same again."
    )
