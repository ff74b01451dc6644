"""A run on a Kubeflow Pipelines server."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

from components.recipe import Recipe
from models.errors import GanvasError
from pipelines.compile import compile_to

WAIT_SECONDS = 24 * 3600


@dataclass(frozen=True)
class SubmittedRun:
    """A run as the server knows it."""

    run_id: str
    url: str
    state: str


def submit_run(
    recipe: Recipe,
    image: str,
    host: str,
    experiment: str,
    *,
    wait: bool,
    tracking_uri: str = "",
    checkpoint_uri: str = "",
) -> SubmittedRun:
    """Compile a recipe and start it.

    Args:
        recipe: what to run.
        image: what every step runs in.
        host: URL of Kubeflow Pipelines.
        experiment: its experiment.
        wait: whether to return only when the run has ended.
        tracking_uri: as :func:`pipelines.compile.compile_to` takes it.
        checkpoint_uri: likewise.

    Raises:
        ConfigurationError: if the store is a file.
        GanvasError: if the server cannot be reached or refuses.
    """
    import kfp

    with tempfile.TemporaryDirectory() as directory:
        package = Path(directory) / "pipeline.yaml"
        compile_to(recipe, image, package, tracking_uri=tracking_uri, checkpoint_uri=checkpoint_uri)
        warnings.filterwarnings("ignore", module="kfp")  # it announces the ends of Python versions
        try:
            client = kfp.Client(host=host)
            started = client.create_run_from_pipeline_package(
                str(package), experiment_name=experiment, run_name=recipe.name
            )
            url = f"{host.rstrip('/')}/#/runs/details/{started.run_id}"
            if not wait:
                return SubmittedRun(started.run_id, url, "PENDING")
            finished = client.wait_for_run_completion(started.run_id, timeout=WAIT_SECONDS)
            return SubmittedRun(started.run_id, url, str(finished.state))
        except Exception as error:  # kfp's client raises whatever its HTTP layers do
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise GanvasError(
                f"Kubeflow Pipelines at {host} does not answer as it should: {reason}",
                "Check --host (KFP_HOST), and that a port-forward or ingress leads there.",
            ) from error
