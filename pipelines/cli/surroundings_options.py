"""The options that say what a graph's steps find on their cluster, the same for every command that compiles one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any

import typer

from pipelines.surroundings import Surroundings

OPTIONS: dict[str, tuple[str, str]] = {
    "tracking_uri": (
        "URI",
        "MLflow as the cluster's pods reach it. Without one, and without MLFLOW_TRACKING_URI in their environment, "
        "the version becomes an artifact of the run, which nothing serves.",
    ),
    "mlflow_secret": ("NAME", "Secret with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."),
    "checkpoint_uri": ("URI", "s3:// prefix for checkpoints: a retried pod goes on from them."),
    "s3_endpoint": ("URL", "AWS_ENDPOINT_URL of the steps that speak S3."),
    "s3_region": ("NAME", "AWS_REGION of these steps."),
    "s3_secret": ("NAME", "Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."),
    "kfp_url": ("URL", "Kubeflow Pipelines' UI as people reach it: MLflow's runs link there."),
    "accelerator_type": ("NAME", "Resource name of the accelerators that training may ask for."),
    "training_cpus": ("QUANTITY", "CPUs of each training machine."),
    "training_memory": ("QUANTITY", "Memory of each training machine."),
    "progress_timeout_seconds": (
        "SECONDS",
        "Without a line in the log or a change of a node, after which training on several machines is stopped.",
    ),
    "training_runtime": ("NAME", "TrainingRuntime of training on several machines, other than those of deploy/."),
    "training_service_account": (
        "NAME",
        "ServiceAccount of these machines' pods: for a cloud's pod identity, and for its image pull secrets.",
    ),
    "training_hours": ("N", "After which training is stopped; the next run goes on from its checkpoints."),
}


def takes_surroundings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of :class:`Surroundings` in the place of its parameter ``around``."""
    signature = inspect.signature(command, eval_str=True)
    own = [parameter for parameter in signature.parameters.values() if parameter.name != "around"]
    stated = {field.name: field.default for field in fields(Surroundings)}
    options = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=stated[name],
            annotation=Annotated[
                type(stated[name]), typer.Option(f"--{name.replace('_', '-')}", metavar=metavar, help=text)
            ],
        )
        for name, (metavar, text) in OPTIONS.items()
    ]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        around = Surroundings(**{name: given.pop(name) for name in OPTIONS})
        command(**given, around=around)

    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own] + options
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
