"""What the graphs have in common: how a source becomes a Dataset, and what every task asks of a cluster."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from kfp import dsl, kubernetes

from components import environment
from components.prepare.component import prepare_data, read_source
from pipelines.stages import HOUR, TRAIN, Stage
from pipelines.surroundings import Surroundings

RUN_ID_LABEL = "metadata.labels['pipeline/runid']"
"""Where Kubeflow Pipelines writes a run's id on each of its pods."""


def read_and_prepare(listed: Any) -> tuple[Any, Any]:
    """The tasks that read the listed shares side by side and make a Dataset of them; within a pipeline's function."""
    with dsl.ParallelFor(listed.outputs["Output"], name="shares-of-the-source") as share:
        read = read_source(share=share)
    prepared = prepare_data(
        data=listed.outputs["data"],
        listing_digest=listed.outputs["digest"],
        units=dsl.Collected(read.outputs["units"]),
    )
    return read, prepared


def tell_run(task: Any, run_id: str) -> None:
    """Which run a task works for, by its environment.

    Args:
        task: of a graph.
        run_id: where it is known; empty on a cluster, which gives it.
    """
    if run_id:
        task.set_env_variable(environment.PIPELINE_RUN_ID, run_id)
    else:
        kubernetes.use_field_path_as_env(task, environment.PIPELINE_RUN_ID, RUN_ID_LABEL)


def set_up(
    tasks: Iterable[Any],
    stages: Iterable[Stage],
    *,
    image: str,
    retries: int,
    around: Surroundings,
    on_cluster: bool,
) -> None:
    """Name, caching, resources, image, retries and environment of each task, as its stage says.

    Args:
        tasks: of a graph.
        stages: one for each.
        image: what every task runs in.
        retries: how often one that fails is run again, where that can help.
        around: the stores and Secrets.
        on_cluster: whether pods will run it: then they get timeouts and credentials.
    """
    by_name = {stage.task: stage for stage in stages}
    for task in tasks:
        stage = by_name[task.name]
        task.set_display_name(stage.title[0].upper() + stage.title[1:]).set_caching_options(stage.cached)
        task.set_cpu_request(stage.cpus).set_memory_request(stage.memory).set_memory_limit(stage.memory_limit)
        task.set_container_image(image)
        if retries and stage.retried:
            task.set_retry(num_retries=retries, backoff_duration="30s", backoff_factor=2.0)
        for name, value in around.variables(stage).items():
            task.set_env_variable(name, value)
        if on_cluster:
            _set_up_pod(task, stage, image, around)


def _set_up_pod(task: Any, stage: Stage, image: str, around: Surroundings) -> None:
    keys: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for variable, secret in around.secrets(stage).items():
        keys[secret][variable] = variable
    for secret, variables in keys.items():
        kubernetes.use_secret_as_env(task, secret, variables)
    seconds = stage.timeout_seconds
    if stage is TRAIN:
        # The step itself stops a training on several machines: it needs time to say why, and to clean up.
        seconds = (around.training_hours + 1) * HOUR
        task.set_env_variable(environment.CLUSTER, around.cluster(image).model_dump_json())
        # A pod's own /dev/shm is 64 MB, too small for NCCL between several processes.
        kubernetes.empty_dir_mount(task, "shared-memory", "/dev/shm", medium="Memory")
    kubernetes.set_timeout(task, seconds)
