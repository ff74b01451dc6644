"""Units read by several processes: ``python -m components.prepare.workers JOB.json``.

They are started as commands of their own, not by multiprocessing, which would import the main module of whoever
prepares data once more in each of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from components.prepare.reading import read_unit
from components.prepare.settings import DataSettings
from components.prepare.sources.source import Item
from models import errors
from models.config import Settings


class UnitsJob(Settings):
    """What one process is to read: for each unit its items, as (name, size_bytes, tag, count)."""

    data: DataSettings
    output: Path
    units: dict[str, list[tuple[str, int, str, int]]]
    parent: int


def read_in_processes(
    settings: DataSettings, output: Path, units: Mapping[str, Sequence[Item]], processes: int
) -> None:
    """Read units side by side, each process every so-manieth of them.

    Raises:
        SourceError: if a process died without a word.
        GanvasError: whatever reading raised, in its own words.
    """
    names = list(units)
    with tempfile.TemporaryDirectory() as directory:
        running = []
        # One core each: threads within them would only take turns.
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        try:
            for number in range(processes):
                job = UnitsJob(
                    data=settings,
                    output=output.resolve(),
                    units={
                        name: [(item.name, item.size_bytes, item.tag, item.count) for item in units[name]]
                        for name in names[number::processes]
                    },
                    parent=os.getpid(),
                )
                path = Path(directory) / f"{number}.json"
                # Names that are no UTF-8 go through as they are.
                path.write_text(json.dumps(job.model_dump(mode="json", exclude={"units"}) | {"units": job.units}))
                command = [sys.executable, "-m", __name__, str(path)]
                running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
            for process in running:
                said, _ = process.communicate()
                if process.returncode:
                    raise _error(said, settings.source)
        finally:
            for process in running:
                process.kill()
                process.wait()


def _error(said: str, source: str) -> errors.GanvasError:
    try:
        kind, message, remedy = json.loads(said.splitlines()[-1])
        error: errors.GanvasError = getattr(errors, kind)(message, remedy)
    except (IndexError, ValueError, AttributeError):
        return errors.SourceError(
            f"A process that read {source} died, perhaps for want of memory.",
            "Run the same command again: it goes on with what is missing.",
        )
    return error


def main() -> int:
    """Read the units of the job that the one argument names; an error is said on standard output, as JSON."""
    raw = json.loads(Path(sys.argv[1]).read_text())
    settings = DataSettings.model_validate(raw["data"])
    try:
        for name, items in raw["units"].items():
            if os.getppid() != raw["parent"]:
                return 1  # whoever waited for it is gone, and may be reading the same units again
            read_unit(settings, [Item(*item) for item in items], Path(raw["output"]) / name)
    except errors.GanvasError as error:
        print(json.dumps([type(error).__name__, error.message, error.remedy]))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
