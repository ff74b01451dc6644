"""A signal to the run alone: its steps hear of it, are waited for, and in the end are killed."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from pipelines.stopping import Process, descendants, process_table, steps_of

# As the engine starts a step, in a shell that does not become it.
RUN = """
import signal, subprocess, sys
from pipelines import stopping
stopping.HURRY_AFTER_SECONDS = 0.0
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are born with it ignored
grace, names, step = sys.argv[1:]
before = [signal.getsignal(number) for number in stopping.SIGNALS]
with stopping.steps_are_told(float(grace)) as stop:
    running = subprocess.Popen(["sh", "-ec", 'true\\nsh -c "$0"\\n', step], stdout=subprocess.PIPE, text=True)
    assert running.stdout.readline() == "ready\\n"
    for name in names.split():
        signal.raise_signal(getattr(signal, name))
    said, code = running.stdout.read().strip(), running.wait()
    # A shell that is killed just after its step has told of the step's end by then.
    print(said, code if code >= 0 else 128 - code, int(stop.number))
assert before == [signal.getsignal(number) for number in stopping.SIGNALS]
"""
HEEDS = 'trap "echo saved; exit 7" TERM; echo ready; while :; do sleep 0.02; done'
DEAF = 'trap "" TERM; sleep 1000 & echo ready; while :; do wait; done'


@pytest.mark.parametrize(
    ("step", "grace_seconds", "signals", "said"),
    [
        (HEEDS, 1_000.0, "SIGTERM", "saved 7 15"),
        (HEEDS, 1_000.0, "SIGINT", "saved 7 2"),
        (DEAF, 0.1, "SIGTERM", "137 15"),  # with the process that it had started itself
        (DEAF, 1_000.0, "SIGTERM SIGINT", "137 15"),  # by somebody who does not want to wait
    ],
)
def test_a_step_is_told_and_waited_for_and_killed_only_in_the_end(
    step: str, grace_seconds: float, signals: str, said: str, subprocess_environment: dict[str, str]
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", RUN, str(grace_seconds), signals, step],
        env=subprocess_environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (ended.returncode, ended.stdout.strip()) == (0, said), ended.stderr


def test_a_signal_that_is_ignored_stays_ignored(subprocess_environment: dict[str, str]) -> None:
    program = """
import signal
from pipelines.stopping import steps_are_told
signal.signal(signal.SIGINT, signal.SIG_IGN)
with steps_are_told() as stop:
    signal.raise_signal(signal.SIGINT)
print(stop.number)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], env=subprocess_environment, capture_output=True, text=True, timeout=100
    )
    assert ended.stdout.strip() == "None", ended.stderr


def process(pid: int, parent: int, name: str) -> Process:
    return Process(pid, "then", parent, name)


def test_a_step_is_told_and_neither_its_shell_nor_what_it_started() -> None:
    family = [(2, 1, "sh"), (3, 2, "python"), (4, 3, "torchrun"), (5, 4, "sh"), (6, 1, "python"), (7, 6, "python")]
    table = frozenset(process(*one) for one in [*family, (8, 9, "python")])
    assert {one.pid for one in steps_of(1, table)} == {3, 6}
    assert {one.pid for one in descendants(1, table)} == {2, 3, 4, 5, 6, 7}


@pytest.mark.parametrize("listed", [False, True])
def test_this_process_is_found_with_its_parent(listed: bool) -> None:
    from pipelines.stopping import _listed_processes

    table: Any = _listed_processes() if listed else process_table()
    assert [one.parent for one in table if one.pid == os.getpid()] == [os.getppid()]
