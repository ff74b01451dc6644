"""SIGTERM, turned into an exception that cleans up."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Terminated(BaseException):
    """SIGTERM came. No ``Exception``: nothing that handles errors on the way may swallow it."""


class Termination:
    """Whether SIGTERM came, and whether it may interrupt now."""

    def __init__(self) -> None:
        self.came = False
        self._held = False

    def on_signal(self, number: int, frame: object) -> None:
        """The handler: interrupts whatever is waited for."""
        first, self.came = not self.came, True
        if first and not self._held:
            raise Terminated

    def check(self) -> None:
        """Raise if it came while nothing could be raised."""
        if self.came:
            raise Terminated

    @contextmanager
    def held(self) -> Iterator[None]:
        """What must not be cut in two; raised after it."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        self.check()

    def ignore(self) -> None:
        """From now on it only is remembered: what is left to do is the cleaning up."""
        self._held = True


@contextmanager
def termination() -> Iterator[Termination]:
    """SIGTERM raises :class:`Terminated` within; in a thread other than the main one it is its owner's."""
    state = Termination()
    try:
        previous = signal.signal(signal.SIGTERM, state.on_signal)
    except ValueError:
        yield state
        return
    try:
        yield state
    finally:
        signal.signal(signal.SIGTERM, previous)
