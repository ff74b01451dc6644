"""``ganvas doctor``: what works here, and the remedy for what does not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from components.cores import available_cores
from pipelines.cli.console import escape, print_json, print_table
from pipelines.cli.options import JsonOption


@dataclass(frozen=True)
class Finding:
    """One part of the environment."""

    name: str
    works: bool
    found: str
    remedy: str = ""


def doctor(json: JsonOption = False) -> None:
    """Say what works here: CPU and GPU, onnxruntime, MLflow, KFP, containers."""
    findings = [check() for check in (_cpu, _gpu, _onnxruntime, _mlflow, _kfp, _containers, _disk)]
    if json:
        print_json([finding.__dict__ for finding in findings])
        return
    from rich.table import Table

    table = Table("part", "", "found", "remedy")
    for finding in findings:
        mark = "[green]works[/]" if finding.works else "[yellow]not here[/]"
        table.add_row(finding.name, mark, escape(finding.found), escape(finding.remedy))
    print_table(table)


def _explained(name: str, remedy: str, ask: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, ask())
    except Exception as error:  # whatever a part raises is what this command reports
        return Finding(name, False, f"{type(error).__name__}: {' '.join(str(error).split())[:160]}", remedy)


def _cpu() -> Finding:
    return _explained(
        "CPU training",
        "pip install 'ganvas[pipeline]'",
        lambda: f"torch {version('torch')}, {available_cores()} cores",
    )


def _gpu() -> Finding:
    try:
        import torch
    except ImportError:
        return Finding("GPU training", False, "torch is not installed", "pip install 'ganvas[pipeline]'")
    if torch.cuda.is_available():
        return Finding("GPU training", True, torch.cuda.get_device_name(0))
    return Finding("GPU training", False, "no CUDA device", "Training runs on the CPU; a GPU needs NVIDIA's driver.")


def _onnxruntime() -> Finding:
    def ask() -> str:
        import onnxruntime

        return f"{onnxruntime.__version__}: {', '.join(onnxruntime.get_available_providers())}"

    return _explained("onnxruntime", "pip install 'ganvas[serving]'", ask)


def _mlflow() -> Finding:
    from components.tracking import is_server, tracking_uri

    uri = tracking_uri()

    def ask() -> str:
        if is_server(uri):
            import urllib.request

            urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=3).close()
        return f"mlflow {version('mlflow')} at {uri}"

    return _explained("MLflow", "Start the server, or unset MLFLOW_TRACKING_URI for SQLite under ./runs.", ask)


def _kfp() -> Finding:
    try:
        found = f"kfp {version('kfp')}: local runs and compile"
    except PackageNotFoundError:
        return Finding("Kubeflow Pipelines", False, "kfp is not installed", "pip install 'ganvas[pipeline]'")
    host = os.environ.get("KFP_HOST", "")
    return Finding(
        "Kubeflow Pipelines", True, f"{found}; submit to {host}" if host else f"{found}; KFP_HOST is not set"
    )


def _containers() -> Finding:
    engine = next((name for name in ("docker", "podman", "buildah") if shutil.which(name)), None)
    if engine is None:
        return Finding(
            "Containers", False, "no engine on PATH", "Install docker or podman for --runner docker and images."
        )

    def ask() -> str:
        import docker

        docker.from_env().ping()
        return f"{engine}, and its socket answers"

    return _explained(
        "Containers", f"{engine} is there; start its service or set DOCKER_HOST for --runner docker.", ask
    )


def _disk() -> Finding:
    free = shutil.disk_usage(".").free / 1e9
    return Finding("Disk", free > 2, f"{free:.0f} GB free here", "" if free > 2 else "A run needs about 2 GB.")
