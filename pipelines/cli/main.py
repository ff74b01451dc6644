"""Entry point of ``ganvas``: the subcommands, and errors as one line with the right exit code.

Exit codes: 0 done (the gate passed), 1 error, 2 wrong use, 3 the gate failed, 130 and 143
stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import sys

import typer

from components.artifacts import full_disk
from models.errors import GanvasError
from pipelines.cli import compare, doctor, gate, gc, lab, registry, run, schedule, show, steps, submit
from pipelines.cli.console import say_error

INTERRUPTED = 130

app = typer.Typer(
    name="ganvas",
    help="From pictures to a generative model that is trained, judged, exported, tracked, promoted and served.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("recipes")(show.recipes)
app.command("show")(show.show)
app.command("run")(run.run)
app.command("prepare")(steps.prepare)
app.command("train")(steps.train)
app.command("export")(steps.export)
app.command("evaluate")(steps.evaluate)
app.command("promote")(steps.promote)
app.add_typer(gate.gate, name="gate")
app.command("compare")(compare.compare)
app.command("compile")(submit.compile_pipeline)
app.command("submit")(submit.submit)
app.command("watch")(submit.watch)
app.add_typer(schedule.schedule, name="schedule")
app.command("serve", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(registry.serve)
app.command("rollback")(registry.rollback)
app.command("gc")(gc.collect_garbage)
app.command("lab")(lab.lab)
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        app()
    except GanvasError as error:
        say_error(str(error))
        sys.exit(error.exit_code)
    except OSError as error:
        explained = full_disk(error)
        if explained is None:
            raise
        say_error(str(explained))
        sys.exit(explained.exit_code)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # which typer makes of a KeyboardInterrupt, without a word
            say_error("interrupted")
        raise


if __name__ == "__main__":
    main()
