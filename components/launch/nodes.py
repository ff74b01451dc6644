"""Several nodes: a TrainJob of the cluster, with data and checkpoints by way of a durable place."""

from __future__ import annotations

import os
from pathlib import Path

from components.artifacts import prepare_output_directory
from components.cluster import ClusterSettings
from components.environment import CLUSTER, S3_ENDPOINT, S3_REGION, TRACKING_URI
from components.launch.api import Cluster
from components.launch.disk import disk_gibibytes
from components.launch.here import gpu_count
from components.launch.lifecycle import TrainJob
from components.launch.patience import Patience
from components.launch.termination import Terminated, termination
from components.launch.trainjob import job_name, train_job
from components.launch.watching import Watcher
from components.prepare.dataset import read_manifest
from components.prepare.fetch import is_remote, read_remote_manifest
from components.prepare.manifest import Manifest
from components.recipe import Recipe
from components.step import say
from components.storage import Storage, open_storage
from components.train.checkpoint import CHECKPOINT_NAME, Checkpoint
from components.train.core import Interrupted, require_divisible_batch
from components.train.durable import DATASET, clear, durable_name, durable_uri, fetch_result
from components.train.launcher_mark import renewed_mark
from components.train.worker import Job
from models.errors import ConfigurationError, GanvasError, TrainingError

HANDED_ON = (TRACKING_URI, "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", S3_ENDPOINT, S3_REGION)
"""Plain variables of the step that its nodes get too, where the cluster's settings name no others."""


def train_on_nodes(
    job: Job, dataset_uri: str, cluster: ClusterSettings | None, patience: Patience | None = None
) -> Checkpoint:
    """Train on the nodes that the recipe asks for, and fetch the result.

    Whatever happens, also SIGTERM, no TrainJob stays. Checkpoints stay where training did not end, for the next
    attempt.

    Raises:
        ConfigurationError: if something that several nodes need is missing.
        ClusterError: if Kubernetes refuses, loses the job or does not answer.
        TrainingError: if training failed, or took too long.
        Interrupted: after SIGTERM.
    """
    recipe, nodes = job.recipe, job.recipe.resources.nodes
    settings = _required(job, cluster)
    manifest = read_remote_manifest(job.dataset) if is_remote(job.dataset) else read_manifest(Path(job.dataset))
    if recipe.resources.processes_per_node:
        require_divisible_batch(recipe, nodes * recipe.resources.processes_per_node)
    if len(manifest.splits["train"].shards) < nodes:
        raise ConfigurationError(
            f"The data have {len(manifest.splits['train'].shards)} training shards for {nodes} nodes.",
            "Prepare them again with a smaller data.shard_rows.",
        )
    prepare_output_directory(job.output, CHECKPOINT_NAME)
    uri = durable_uri(job.checkpoint_uri, durable_name(recipe, manifest.fingerprint, job.pipeline_run_id))
    place = open_storage(uri)
    patience = patience or Patience(settings.timeout_seconds, settings.progress_timeout_seconds)
    with termination() as terminated:
        train = None
        try:
            if job.resume == "never":
                clear(place)
            finished = fetch_result(place, job.output)
            if finished is None:
                given = job.dataset if is_remote(job.dataset) else dataset_uri
                node_job = job.model_copy(
                    update={
                        "dataset": _reachable_dataset(given, job.dataset, manifest, place, uri),
                        "output": Path("unused"),  # each node has its own
                        # Never would let each restart of the job start over: the place is cleared once, above.
                        "resume": "own" if job.resume == "never" else job.resume,
                        "hand_over": True,
                        "dataset_fingerprint": manifest.fingerprint,
                        "launcher_timeout_seconds": patience.launcher_seconds,
                    }
                )
                body = train_job(
                    job_name(job.pipeline_run_id, uri),
                    node_job,
                    settings,
                    accelerators_per_node=_accelerators(recipe),
                    disk_gibibytes=disk_gibibytes(manifest, nodes),
                    environment={name: os.environ[name] for name in HANDED_ON if os.environ.get(name)},
                )
                train = TrainJob(Cluster(patience), body, patience, terminated)
                with renewed_mark(place, patience.mark_seconds):
                    train.start()
                    Watcher(train).wait()
                finished = fetch_result(place, job.output)
            if finished is None:
                raise TrainingError(
                    "The nodes ended well and left no result.",
                    f"Check that they write to {job.checkpoint_uri}, and run it again.",
                )
        except Terminated:
            terminated.ignore()
            left = train.delete(in_haste=True) if train else ""
            raise Interrupted(
                f"Training on {nodes} nodes was asked to stop; its checkpoints are in {job.checkpoint_uri}."
                + (f" {left}" if left else ""),
                "Run the same again to go on.",
            ) from None
        except BaseException as error:  # whatever it is, the job does not stay
            terminated.ignore()
            left = train.delete() if train else ""
            if left and isinstance(error, GanvasError):
                error.args = (f"{error}\n  {left}",)
            elif left:
                say(left)
            raise
        terminated.ignore()
        if train and (left := train.delete()):
            say(left)
        clear(place)
    return finished


def _required(job: Job, cluster: ClusterSettings | None) -> ClusterSettings:
    """What several nodes need, checked before anything starts."""
    asked = f"resources.nodes={job.recipe.resources.nodes}"
    if job.init_from is not None:
        raise ConfigurationError(
            f"{asked}: --init-from {job.init_from} is a directory that the nodes do not have.",
            "Start from other weights on one node.",
        )
    if not is_remote(job.checkpoint_uri):
        raise ConfigurationError(
            f"{asked}: the nodes need a place that all of them reach, and checkpoint_uri is "
            f"{job.checkpoint_uri or 'not given'}.",
            "Name a bucket's prefix by --checkpoint-uri, such as s3://training/checkpoints.",
        )
    if cluster is None:
        raise ConfigurationError(
            f"{asked}: several nodes are started by the pipeline's train step on a cluster, which {CLUSTER} describes.",
            "Submit the pipeline, or set resources.nodes=1.",
        )
    return cluster


def _accelerators(recipe: Recipe) -> int:
    """Accelerators that each node asks for: the run's own number, or as this step sees them."""
    if recipe.resources.accelerators_per_node:
        return recipe.resources.accelerators_per_node
    visible = gpu_count()
    return (recipe.resources.processes_per_node or visible) if visible else 0


def _reachable_dataset(given: str, local: str, manifest: Manifest, place: Storage, uri: str) -> str:
    """A URI that the nodes can read the Dataset from: where it is, or else a copy beside the checkpoints."""
    if _holds(given, manifest):
        return given
    copy = f"{uri}/{DATASET}"
    if not _holds(copy, manifest):
        say(f"The data are copied to {copy}, where the nodes reach them.")
        push_dataset(Path(local), place)
    return copy


def _holds(uri: str, manifest: Manifest) -> bool:
    """Whether this very Dataset can be read there, with the nodes' own credentials."""
    if not is_remote(uri):
        return False
    try:
        return read_remote_manifest(uri) == manifest
    except GanvasError:
        return False


def push_dataset(dataset: Path, place: Storage) -> None:
    """Copy a Dataset beside the checkpoints; its manifest goes last."""
    for directory in sorted(path for path in dataset.rglob("*") if path.is_dir()):
        place.push(directory, f"{DATASET}/{directory.relative_to(dataset).as_posix()}")
    place.push(dataset, DATASET)
