"""Commands of other programs, whose failure is one clear line."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from models.errors import GanvasError


class StepFailed(GanvasError):
    """A step of the test did not do what it should."""


class Hopeless(GanvasError):
    """What is waited for will not come any more."""


class NoEngine(GanvasError):
    """This machine lacks what the test needs."""

    exit_code = 2


def run(
    command: Sequence[str | Path],
    timeout_seconds: float,
    environment: Mapping[str, str] | None = None,
    *,
    accepted: Collection[int] = (0,),
) -> str:
    """A command's standard output.

    Args:
        command: program and arguments.
        timeout_seconds: after which it is killed.
        environment: of the program; by default this process's.
        accepted: exit codes that are no failure.

    Raises:
        StepFailed: if it cannot be started, fails or takes longer; with the last lines that it said.
    """
    shown = " ".join(str(part) for part in command)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_seconds, check=False, env=environment
        )
    except FileNotFoundError as error:
        raise StepFailed(f"{command[0]} is not installed.", "Install it, or add it to PATH.") from error
    except subprocess.TimeoutExpired as error:
        raise StepFailed(f"{shown} took longer than {timeout_seconds:.0f} s.") from error
    if done.returncode not in accepted:
        said = " / ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise StepFailed(f"{shown} ended with code {done.returncode}: {said}")
    return done.stdout


def say(text: str) -> None:
    """Tell the person who waits, with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
