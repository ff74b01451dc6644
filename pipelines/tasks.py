"""What the graphs have in common: how a source becomes a Dataset, and what every task asks of a cluster."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kfp import dsl

from components.prepare.component import prepare_data, read_source
from pipelines.stages import Stage


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


def set_up(tasks: Iterable[Any], stages: Iterable[Stage], *, image: str, retries: int) -> None:
    """Name, caching, resources, image and retries of each task, as its stage says.

    Args:
        tasks: of a graph.
        stages: one for each.
        image: what every task runs in.
        retries: how often one that fails is run again, where that can help.
    """
    by_name = {stage.task: stage for stage in stages}
    for task in tasks:
        stage = by_name[task.name]
        task.set_display_name(stage.title[0].upper() + stage.title[1:]).set_caching_options(stage.cached)
        task.set_cpu_request(stage.cpus).set_memory_request(stage.memory).set_container_image(image)
        if retries and stage.retried:
            task.set_retry(num_retries=retries, backoff_duration="30s", backoff_factor=2.0)
