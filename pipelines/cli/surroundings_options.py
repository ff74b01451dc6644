"""The options that say what a graph's steps find on their cluster, the same for every command that compiles one."""

from __future__ import annotations

from dataclasses import fields

import typer

from pipelines.cli.option_groups import Command, takes_group
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
    "mlflow_url": ("URL", "MLflow's UI as people reach it, for links; by default --tracking-uri."),
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


def takes_surroundings(command: Command) -> Command:
    """Give a command the options of :class:`Surroundings` in the place of its parameter ``around``."""
    stated = {field.name: field.default for field in fields(Surroundings)}
    options = {
        name: typer.Option(f"--{name.replace('_', '-')}", metavar=metavar, help=text)
        for name, (metavar, text) in OPTIONS.items()
    }
    return takes_group(command, "around", options, stated, Surroundings)
