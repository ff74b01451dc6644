"""What one training keeps in a durable place, so that pods may come and go.

::

    <checkpoint_uri>/<key>/000000000640/    a checkpoint, named by the images seen
                          /dataset/         the Dataset, where the nodes cannot read it elsewhere
                          /result-samples/  pictures of the finished training
                          /result/          its checkpoint; ``checkpoint.json`` goes last

The key is what training depends on: a retried pod finds its own, another run never.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from components.artifacts import sha256_of_json
from components.recipe import Recipe
from components.storage import Storage, open_storage
from components.train.checkpoint import CHECKPOINT_NAME, Checkpoint, identity, is_whole, read_checkpoint
from components.train.observer import SAMPLES_DIRECTORY
from models.errors import ArtifactError

DATASET = "dataset"
RESULT = "result"
RESULT_SAMPLES = "result-samples"


def durable_uri(uri: str, recipe: Recipe, dataset_fingerprint: str) -> str:
    """The place of one training within ``checkpoint_uri``."""
    return f"{uri.rstrip('/')}/{sha256_of_json(identity(recipe, dataset_fingerprint))[:24]}"


def open_durable(uri: str, recipe: Recipe, dataset_fingerprint: str) -> Storage:
    """The same, opened."""
    return open_storage(durable_uri(uri, recipe, dataset_fingerprint))


def push_result(place: Storage, output: Path) -> None:
    """Put a finished checkpoint there. Half of one is never taken for whole: its document is written last."""
    if (output / SAMPLES_DIRECTORY).is_dir():
        place.push(output / SAMPLES_DIRECTORY, RESULT_SAMPLES)
    place.push(output, RESULT)


def has_result(place: Storage) -> bool:
    """Whether a finished checkpoint is there, whole."""
    if RESULT not in place.directories():
        return False
    with tempfile.TemporaryDirectory() as directory:
        place.fetch(RESULT, Path(directory))
        return is_whole(Path(directory))


def fetch_result(place: Storage, output: Path) -> Checkpoint | None:
    """Fetch the finished checkpoint; None if there is none.

    Raises:
        ArtifactError: if what came is not what its document says; ``output`` is then not complete either.
        StorageError: if the place does not answer.
    """
    names = place.directories()
    if RESULT not in names:
        return None
    if RESULT_SAMPLES in names:
        place.fetch(RESULT_SAMPLES, output / SAMPLES_DIRECTORY)
    place.fetch(RESULT, output)
    if not (output / CHECKPOINT_NAME).is_file():  # pushed in part
        return None
    try:
        return read_checkpoint(output)
    except ArtifactError:
        (output / CHECKPOINT_NAME).unlink()
        raise


def clear(place: Storage, *, checkpoints_only: bool = False) -> None:
    """Remove what is there: the checkpoints on the way, or everything."""
    for name in place.directories():
        if name.isdigit() or not checkpoints_only:
            place.remove(name)
