"""What one training keeps in a durable place, so that pods may come and go.

::

    <checkpoint_uri>/<key>-<run>/000000000640/    a checkpoint, named by the images seen
                                /dataset/         the Dataset, where the nodes cannot read it elsewhere
                                /result-samples/  pictures of the finished training
                                /result/          its checkpoint; ``checkpoint.json`` goes last

The key is what training depends on, the run is the pipeline's: two runs that train the same at the same time write and
remove nothing of each other's. A run that has no checkpoint yet goes on from another's of the same key, which it copies
to its own place first. What nobody came back for is ``ganvas gc``'s to remove. Outside a pipeline there is no run, and
the place is the key's alone.
"""

from __future__ import annotations

import re
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


_RUN = re.compile(r"[A-Za-z0-9._-]{1,64}")


def durable_name(recipe: Recipe, dataset_fingerprint: str, pipeline_run_id: str = "") -> str:
    """The place's name within ``checkpoint_uri``; a run's id as it is where a path can hold it, else its hash."""
    key = sha256_of_json(identity(recipe, dataset_fingerprint))[:24]
    if not pipeline_run_id:
        return key
    return f"{key}-{pipeline_run_id if _RUN.fullmatch(pipeline_run_id) else sha256_of_json(pipeline_run_id)[:24]}"


def durable_uri(uri: str, name: str) -> str:
    """The place of one training within ``checkpoint_uri``."""
    return f"{uri.rstrip('/')}/{name}"


def open_durable(uri: str, recipe: Recipe, dataset_fingerprint: str, pipeline_run_id: str = "") -> Storage:
    """The same, opened."""
    return open_storage(durable_uri(uri, durable_name(recipe, dataset_fingerprint, pipeline_run_id)))


def others_checkpoints(uri: str, name: str) -> list[tuple[str, Storage]]:
    """Checkpoints that other runs of the same training left, or are making: names and places, newest first."""
    key = name.partition("-")[0]
    places = [other for other in open_storage(uri).directories() if other != name and other.partition("-")[0] == key]
    opened = [open_storage(durable_uri(uri, place)) for place in places]
    found = [(step, place) for place in opened for step in place.directories() if step.isdigit()]
    return sorted(found, key=lambda one: one[0], reverse=True)


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
