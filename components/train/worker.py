"""What each training process runs: ``python -m components.train.worker JOB.json``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from components.prepare.fetch import fetched_dataset, is_remote, share_of_this_machine
from components.recipe import Recipe
from components.step import ERROR_MARK
from components.tracking import is_server, tracking_uri
from components.train.checkpoint import Checkpoint
from components.train.core import Resume, train
from components.train.live import Live
from components.train.observer import Observer, Terminal
from components.train.processes import is_lost_peer
from models.config import Settings
from models.errors import GanvasError


class Job(Settings):
    """One training, as it is handed to each of its processes.

    ``hand_over`` puts the result under ``checkpoint_uri``; a node of several knows by ``dataset_fingerprint``, before
    it has fetched anything, which place there is this training's. Such a node ends when its launcher was silent for
    ``launcher_timeout_seconds``; 0 for never.
    """

    recipe: Recipe
    dataset: str
    output: Path
    resume: Resume = "auto"
    init_from: Path | None = None
    checkpoint_uri: str = ""
    model_name: str = ""
    pipeline_run_id: str = ""
    hand_over: bool = False
    launcher_timeout_seconds: float = 0.0
    dataset_fingerprint: str = ""


def is_shown_live(job: Job) -> bool:
    """Whether MLflow is told of the training as it goes: a run's, of a model with a name there, on a server.

    A comparison's trainings have a run and no name: nothing of them is registered.
    """
    return bool(job.pipeline_run_id and job.model_name) and is_server(tracking_uri())


def run_job(job: Job) -> Checkpoint:
    """Train in this process, which may be one of several."""
    is_first = os.environ.get("RANK", "0") == "0"
    observers: list[Observer] = [Terminal(job.recipe.training.images_seen)] if is_first else []
    live = Live(job.model_name, job.pipeline_run_id) if is_first and is_shown_live(job) else None
    if live:
        observers.append(live)
    return train(
        job.recipe,
        fetched_dataset(job.dataset, share_of_this_machine()) if is_remote(job.dataset) else Path(job.dataset),
        job.output,
        resume=job.resume,
        init_from=job.init_from,
        checkpoint_uri=job.checkpoint_uri,
        pipeline_run_id=job.pipeline_run_id,
        observers=observers,
        mlflow_run_id=live.run_id if live else "",
        hand_over=job.hand_over,
    )


def main() -> int:
    """Run the job that the one argument names; the exit code is the error's."""
    try:
        run_job(Job.model_validate_json(Path(sys.argv[1]).read_bytes()))
    except GanvasError as error:
        # Every process says why: the first one may only have waited for another that failed.
        rank = os.environ.get("RANK", "0")
        print(f"{ERROR_MARK}{error}" if rank == "0" else f"process {rank}: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    except RuntimeError as error:
        if not is_lost_peer(error):
            raise
        # Two screens of traceback would push what the lost one said out of sight.
        reason = " ".join(str(error).split())
        print(f"process {os.environ.get('RANK')}: another process is gone: {reason}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
