"""The time that a request may take. All have the same, so that one timer looks after all of them.

``asyncio.timeout`` sets and clears a timer of the event loop for each request: 10 µs, of 50 that one may cost.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

_MOST_SECONDS_LATE = 0.25


class Deadline:
    """Of one request.

    Attributes:
        expired: its task was cancelled because its time is over.
    """

    __slots__ = ("_task", "_work", "at", "expired")

    def __init__(self, at: float, work: asyncio.Future[Any] | None = None) -> None:
        self.at = at
        self.expired = False
        self._task = None if work else asyncio.current_task()
        self._work = work or self._task

    def expire(self) -> None:
        """Cancel the work, or what the request's task waits for."""
        self.expired = True
        if self._work is not None:
            self._work.cancel()

    def answered(self) -> None:
        """The task goes on, with an error to tell: it is cancelled no more."""
        if self._task is not None:
            self._task.uncancel()


class Deadlines:
    """Of all requests of one transport; it belongs to the event loop's thread.

    Args:
        seconds: from :meth:`begin` to the end; up to a quarter of it, or of a second, may be added.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._period = min(seconds, 4 * _MOST_SECONDS_LATE) / 4
        self._running: dict[Deadline, None] = {}  # in the order in which they began, and will end
        self._begun = False
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, work: asyncio.Future[Any] | None = None) -> Deadline:
        """The time of this work begins, or of the current task."""
        deadline = Deadline(monotonic() + self.seconds, work)
        self._running[deadline] = None
        self._begun = True
        if self._timer is None:
            self._wait()
        return deadline

    def end(self, deadline: Deadline) -> None:
        """Its time is of no consequence any more; calling it again does nothing."""
        self._running.pop(deadline, None)

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._period, self._look)

    def _look(self) -> None:
        now = monotonic()
        while self._running:
            deadline = next(iter(self._running))
            if deadline.at > now:
                break
            del self._running[deadline]
            deadline.expire()
        self._timer = None
        if self._running or self._begun:
            self._begun = False
            self._wait()
