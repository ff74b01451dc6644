"""A comparison on this machine."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from components.artifacts import alone_in, prepare_output_directory, read_document, write_bytes_atomically
from components.compare.documents import COMPARISON_NAME, PAGE_NAME, Comparison
from components.recipe import Recipe
from models.errors import ArtifactError, GanvasError
from pipelines.local import (
    LOCK_NAME,
    LOG_NAME,
    PIPELINE_DIRECTORY,
    Progress,
    Runner,
    Stream,
    durable_checkpoints,
    execute,
    refuse_other_graph,
    surroundings_here,
    task_directories,
    tell_steps,
)
from pipelines.stages import COMPARE
from pipelines.stopping import Stopped


def compare_locally(recipes: list[Recipe], output: Path, runner: Runner, progress: Progress) -> Comparison:
    """Run the comparison's graph and leave ``comparison.html`` and, last, ``comparison.json``.

    Args:
        recipes: of the models.
        output: a new directory, or one in which an earlier comparison was stopped.
        runner: subprocess or docker.
        progress: is told what happens.

    Raises:
        ArtifactError: if the directory is finished, in use, foreign, or cannot be written.
        GanvasError: in the failing step's own words.
        Stopped: after SIGTERM or SIGINT, when the running steps have ended.
    """
    from pipelines.comparison import PIPELINE_NAME, build_comparison

    if output.is_dir() and any(output.iterdir()) and not (output / LOG_NAME).exists():
        raise ArtifactError(f"{output} is not empty and holds no run.", "Choose a new directory with --out.")
    refuse_other_graph(output, PIPELINE_NAME)
    prepare_output_directory(output, COMPARISON_NAME)
    with alone_in(output, LOCK_NAME), durable_checkpoints(output):
        prepare_output_directory(output, COMPARISON_NAME)  # another run may have finished it since that look
        tell_steps(output)
        with (output / LOG_NAME).open("w") as log:
            stream = Stream(progress, log)
            build = partial(build_comparison, recipes, around=surroundings_here(runner))
            execute(build, output / PIPELINE_DIRECTORY, runner, stream)
        made = task_directories(output / PIPELINE_DIRECTORY).get(COMPARE.task, Path("missing")) / "comparison"
        if not (made / COMPARISON_NAME).is_file():
            if stream.stopped_by is not None:
                raise Stopped(stream.stopped_by, output)
            message = stream.reasons[-1] if stream.reasons else "A step ended without saying why."
            raise GanvasError(message, f"Everything that was printed is in {output / LOG_NAME}.")
        for name in (PAGE_NAME, COMPARISON_NAME):  # the document last
            write_bytes_atomically(output / name, (made / name).read_bytes())
    return read_document(output, COMPARISON_NAME, Comparison)
