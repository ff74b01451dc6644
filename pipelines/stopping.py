"""A local run that is told to stop tells its running steps, waits for them, and kills what does not end.

The engine starts each step in a shell and waits for it. A signal to this process alone would end it and leave the step
working on with nobody to hear of it; Ctrl-C at a terminal reaches the steps as well, a supervisor's SIGTERM does not.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from models.errors import GanvasError

GRACE_SECONDS = 120.0
"""For a step to end: training of a large model writes a checkpoint in that time."""
HURRY_AFTER_SECONDS = 1.0
"""A second Ctrl-C this much later is a person who does not want to wait; a sooner one is the first, handed on twice."""
LOOK_EVERY_SECONDS = 0.1
SHELLS = ("sh", "bash", "dash")
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(GanvasError):
    """A signal ended the run; the exit code is the one that shells know it by."""

    def __init__(self, number: int, output: Path) -> None:
        super().__init__(
            f"Stopped by {signal.Signals(number).name}.",
            f"To go on, run the same command with --out {output}: a training that was under way continues from its "
            "last checkpoint there, the other steps begin again.",
        )
        self.exit_code = 128 + number


@dataclass(frozen=True)
class Process:
    """A process of this machine. When it was started tells it from a later one that was given its number.

    The rest may change: an orphan has another parent, and a program its own name for itself.
    """

    pid: int
    started: str
    parent: int = field(compare=False)
    name: str = field(compare=False)


class Stop:
    """What was asked for while a graph ran."""

    def __init__(self, grace_seconds: float = GRACE_SECONDS) -> None:
        self.number: int | None = None
        self._grace_seconds = grace_seconds
        self._asked_at = 0.0
        self._hurried = False
        self._over = threading.Event()
        self._telling: threading.Thread | None = None

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """The handler. It raises nothing: the engine would close the steps' output, and they could not say why."""
        if self.number is None:
            self.number, self._asked_at = number, time.monotonic()
            self._telling = threading.Thread(target=self._tell_steps, daemon=True)
            self._telling.start()
        elif number == signal.SIGINT and time.monotonic() - self._asked_at > HURRY_AFTER_SECONDS:
            self._hurried = True

    def end(self) -> None:
        """No step runs any more."""
        self._over.set()
        if self._telling is not None:
            self._telling.join()

    def _tell_steps(self) -> None:
        """Each running step once, and each that the engine starts after it; in the end what is left of them."""
        told: set[Process] = set()
        seen: set[Process] = set()
        while True:
            table = process_table()
            seen |= descendants(os.getpid(), table)
            if self._hurried or time.monotonic() - self._asked_at > self._grace_seconds:
                _send(signal.SIGKILL, seen & table)
            else:
                running = steps_of(os.getpid(), table) - told
                _send(signal.SIGTERM, running)
                told |= running
            if self._over.wait(LOOK_EVERY_SECONDS):
                return


@contextmanager
def steps_are_told(grace_seconds: float = GRACE_SECONDS) -> Iterator[Stop]:
    """Within, SIGTERM and SIGINT to this process end the steps that it started, and not yet this process.

    A signal that was ignored before, as in a shell's background jobs, is ignored still. In a thread other than the main
    one signals are its owner's.

    Args:
        grace_seconds: after which what still runs is killed.
    """
    stop = Stop(grace_seconds)
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, stop.on_signal)
    try:
        yield stop
    finally:
        stop.end()
        for number, handler in before.items():
            signal.signal(number, handler)


def steps_of(pid: int, table: frozenset[Process]) -> set[Process]:
    """The steps that a process runs: its children, or those of the shells that the engine starts them in.

    A shell that is told itself would end before its step does. What a step started is the step's own to end.
    """
    children = {process for process in table if process.parent == pid}
    shells = {process for process in children if process.name in SHELLS}
    within = {process for process in table if process.parent in {shell.pid for shell in shells}}
    return (children - shells) | within


def descendants(pid: int, table: frozenset[Process]) -> set[Process]:
    """The children of a process, theirs, and so on."""
    found: set[Process] = set()
    parents = {pid}
    while parents:
        children = {process for process in table if process.parent in parents} - found
        found |= children
        parents = {process.pid for process in children}
    return found


def process_table() -> frozenset[Process]:
    """Every process of this machine that can be seen."""
    if not Path("/proc/self/stat").is_file():
        return _listed_processes()
    found = set()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            # "PID (name) state parent ..."; the start is the 22nd, and a name may hold anything.
            pid, _, rest = entry.read_text(errors="replace").partition(" (")
            name, _, fields = rest.rpartition(") ")
            values = fields.split()
            found.add(Process(int(pid), values[19], int(values[1]), name))
    return frozenset(found)


def _listed_processes() -> frozenset[Process]:
    """The same where there is no /proc, as POSIX has it."""
    columns = [argument for column in ("pid", "ppid", "lstart", "comm") for argument in ("-o", f"{column}=")]
    listed = subprocess.run(["ps", "-A", *columns], capture_output=True, text=True, check=False).stdout
    found = set()
    for line in listed.splitlines():
        pid, parent, *rest = line.split(maxsplit=7)
        found.add(Process(int(pid), " ".join(rest[:5]), int(parent), Path(rest[-1]).name))
    return frozenset(found)


def _send(number: signal.Signals, processes: set[Process]) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
