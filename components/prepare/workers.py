"""Units read by several processes: ``python -m components.prepare.workers JOB.json``.

They are started as commands of their own, not by multiprocessing, which would import the main module of whoever
prepares data once more in each of them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from components.artifacts import full_disk
from components.prepare.listing import Listing
from components.prepare.reading import read_into_unit
from components.prepare.settings import DataSettings
from models import errors


@dataclass(frozen=True)
class PlannedUnit:
    """A unit to be read: its name, where its items stand in the listing, and how many samples they are, at most."""

    name: str
    first_byte: int
    end_byte: int
    samples: int


def read_in_processes(
    settings: DataSettings, output: Path, listing: Listing, units: Sequence[PlannedUnit], processes: int
) -> None:
    """Read units side by side, each process every so-manieth of them.

    Raises:
        SourceError: if a process died without a word.
        GanvasError: whatever reading raised, in its own words.
    """
    # One core each: threads within them would only take turns.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as directory, ExitStack() as ends:
        running = []
        for number in range(processes):
            job = {
                "data": settings.model_dump(mode="json"),
                "output": str(output.resolve()),
                "listing": str(listing.directory.resolve()),
                "units": [[unit.name, unit.first_byte, unit.end_byte] for unit in units[number::processes]],
                "parent": os.getpid(),
            }
            path = Path(directory) / f"{number}.json"
            path.write_text(json.dumps(job))
            command = [sys.executable, "-m", __name__, str(path)]
            # In groups of their own: a Ctrl-C is for whoever waits here, who then ends them without tracebacks.
            process = ends.enter_context(
                subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, process_group=0)
            )
            ends.callback(process.kill)
            running.append(process)
        for process in running:
            said, _ = process.communicate()
            if process.returncode:
                raise _error(said, process.returncode, settings.source)


def _error(said: str, code: int, source: str) -> errors.GanvasError:
    try:
        kind, message, remedy = json.loads(said.splitlines()[-1])
        error: errors.GanvasError = getattr(errors, kind)(message, remedy)
    except (IndexError, ValueError, AttributeError):
        return errors.SourceError(
            f"A process that read {source} ended with code {code}"
            + (", perhaps for want of memory." if code == -signal.SIGKILL else "; why stands above."),
            "Run the same command again: it goes on with what is missing.",
        )
    return error


def main() -> int:
    """Read the units of the job that the one argument names; an error is said on standard output, as JSON."""
    job = json.loads(Path(sys.argv[1]).read_text())
    settings = DataSettings.model_validate(job["data"])
    try:
        listing = Listing(Path(job["listing"]), "", 0)
        for name, first_byte, end_byte in job["units"]:
            if os.getppid() != job["parent"]:
                return 1  # whoever waited for it is gone, and may be reading the same units again
            read_into_unit(settings, listing.read(first_byte, end_byte), Path(job["output"]) / name)
    except errors.GanvasError as error:
        return _said(error)
    except OSError as error:
        explained = full_disk(error)
        if explained is None:
            raise
        return _said(explained)
    return 0


def _said(error: errors.GanvasError) -> int:
    print(json.dumps([type(error).__name__, error.message, error.remedy]))
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
