"""The one entry: where a recipe's training is started."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from components.cluster import ClusterSettings
from components.prepare.fetch import is_remote
from components.recipe import Recipe

if TYPE_CHECKING:  # the exit handler comes by here, and needs no torch
    from components.train.checkpoint import Checkpoint


def launch_training(
    recipe: Recipe,
    dataset: Path | str,
    output: Path,
    *,
    resume: Literal["auto", "never"] = "auto",
    init_from: Path | None = None,
    checkpoint_uri: str = "",
    model_name: str = "",
    pipeline_run_id: str = "",
    dataset_uri: str = "",
    cluster: ClusterSettings | None = None,
) -> Checkpoint:
    """Train with as many nodes and processes as the recipe's resources ask for.

    One node is this machine, with torchrun where it has several processes. Several are a TrainJob of the cluster, which
    is deleted whatever happens.

    Args:
        recipe: what to train.
        dataset: a directory, or the URI of one that is fetched first, such as ``s3://bucket/prefix``.
        output: where the Checkpoint goes.
        resume: as :func:`components.train.core.train` takes it.
        init_from: likewise.
        checkpoint_uri: likewise; several nodes need it.
        model_name: the registered name, for the live curves.
        pipeline_run_id: the run that this training belongs to.
        dataset_uri: where the nodes may find ``dataset`` too; tried before it is copied for them.
        cluster: how nodes are started; several nodes need it.

    Raises:
        ConfigurationError: if what several nodes need is missing, or the batch cannot be shared.
        ClusterError: if Kubernetes refuses or does not answer.
        TrainingError: if a process failed; its own words stand above in the log, or in the error.
        GanvasError: whatever training in this process raises.
    """
    from components.launch.here import train_here
    from components.train.worker import Job

    job = Job(
        recipe=recipe,
        dataset=str(dataset) if is_remote(str(dataset)) else str(Path(dataset).resolve()),
        output=output.resolve(),
        resume=resume,
        init_from=init_from,
        checkpoint_uri=checkpoint_uri,
        model_name=model_name,
        pipeline_run_id=pipeline_run_id,
    )
    if recipe.resources.nodes == 1:
        return train_here(job)
    from components.launch.nodes import train_on_nodes

    return train_on_nodes(job, dataset_uri, cluster)
