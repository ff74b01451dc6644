"""What one node of several runs: ``python -m components.train.node``, as a TrainJob starts it.

Kubeflow Trainer says by ``PET_*`` which node this is and where the first one is; the variable ``GANVAS_JOB`` says what
to train. Each node fetches the shards that are its own. Exit codes are the training's, so that the cluster's own rules
decide on what is started again.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

from pydantic import ValidationError

from components.artifacts import first_problem
from components.environment import JOB
from components.step import ERROR_MARK, say
from components.train.durable import has_result, open_durable
from components.train.launcher_mark import require_launcher, stopped_without_launcher
from components.train.worker import Job
from models.errors import ConfigurationError, GanvasError

NODE_VARIABLES = ("PET_NNODES", "PET_NODE_RANK", "PET_NPROC_PER_NODE", "PET_MASTER_ADDR", "PET_MASTER_PORT")


def job_of(environment: Mapping[str, str]) -> Job:
    """The job that the environment holds.

    Raises:
        ConfigurationError: if there is none, or it is not valid, or this is no node of a TrainJob.
    """
    missing = [name for name in (JOB, *NODE_VARIABLES) if not environment.get(name)]
    if missing:
        raise ConfigurationError(
            f"{', '.join(missing)} is not set: this is not a node of a TrainJob.",
            "Train on one machine by ganvas train; on several, the pipeline's train step starts the nodes.",
        )
    try:
        return Job.model_validate_json(environment[JOB])
    except ValidationError as error:
        raise ConfigurationError(
            f"{JOB} is not valid: {first_problem(error)}.", "The node's image must be that of the train step."
        ) from error


def run_node(job: Job) -> int:
    """Train as this node, by torchrun in this process; the exit code.

    A result that is there already, whole, ends it at once: then another node was lost after the training's end.

    Raises:
        TrainingError: if the step that launched it is gone.
    """
    place = open_durable(job.checkpoint_uri, job.recipe, job.dataset_fingerprint, job.pipeline_run_id)
    if job.hand_over and has_result(place):
        say("The result is there already.")
        return 0
    timeout_seconds = job.launcher_timeout_seconds
    if timeout_seconds:  # each start of the job ends here then, until the cluster gives it up
        require_launcher(place, timeout_seconds)
    # One node looks on the way: all of them stop where one was asked to.
    looks = timeout_seconds and os.environ.get("PET_NODE_RANK") == "0"
    with tempfile.TemporaryDirectory(prefix="ganvas-node-") as directory:
        here = job.model_copy(update={"output": Path(directory) / "checkpoint"})
        (Path(directory) / "job.json").write_text(here.model_dump_json())
        with stopped_without_launcher(place, timeout_seconds) if looks else nullcontext():
            code = _torchrun(Path(directory) / "job.json")
    if looks and code:
        require_launcher(place, timeout_seconds)
    return code


def _torchrun(job: Path) -> int:
    """The code of the process that failed first; torchrun's own says only that one did."""
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    try:
        run(parse_args(["-m", "components.train.worker", str(job)]))
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        code = int(failure.exitcode)
        name = f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        print(f"process {rank} ended {name}.", file=sys.stderr, flush=True)
        return 128 - code if code < 0 else code
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0


def main() -> int:
    """Run this node; the exit code is the training's."""
    try:
        return run_node(job_of(os.environ))
    except GanvasError as error:
        print(f"{ERROR_MARK}{error}", file=sys.stderr, flush=True)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
