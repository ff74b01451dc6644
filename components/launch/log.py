"""The first node's log, streamed into the step's own."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable

from components.launch.api import Cluster
from components.step import SAID_MARK

TAIL_LINES = 20
OVERLAP_SECONDS = 30
"""Asked for again after a break: a line may come that much later than it was written."""


class NodeLog:
    """Follows one pod's log at a time in a thread of its own, and reconnects where it breaks off.

    ``tail`` holds the last lines, ``last_line_at`` the monotonic second of the newest.
    """

    def __init__(self, api: Cluster, pause_seconds: float) -> None:
        self._api = api
        self._pause_seconds = pause_seconds
        self._lock = threading.Lock()
        self._follower: _Follower | None = None
        self.pod = ""
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.last_line_at = time.monotonic()

    def follow(self, pod: str) -> None:
        """Follow this pod from now on; nothing happens where that is done already."""
        if pod == self.pod:
            return
        self.finish()
        self.pod = pod
        self.tail.clear()
        self._follower = _Follower(self._api, pod, self._on_line, self._pause_seconds)
        self._follower.start()

    def finish(self) -> None:
        """Take what is left of the pod's log, and stop."""
        if self._follower is not None:
            self._follower.finish()
            self._follower = None

    def abandon(self) -> None:
        """Stop without asking for more."""
        if self._follower is not None:
            self._follower.abandon()

    def _on_line(self, line: str) -> None:
        with self._lock:
            self.tail.append(line)
            self.last_line_at = time.monotonic()
            # What is meant for people is marked already; the rest says whose it is.
            print(line if line.startswith(SAID_MARK) else f"node 0: {line}", file=sys.stderr, flush=True)


class _Follower(threading.Thread):
    """One pod's log, every line once and in order, over however many connections."""

    def __init__(self, api: Cluster, pod: str, on_line: Callable[[str], None], pause_seconds: float) -> None:
        super().__init__(name=f"log-{pod}", daemon=True)
        self._api, self._pod, self._on_line, self._pause_seconds = api, pod, on_line, pause_seconds
        self._ended = threading.Event()
        self._turn = threading.Lock()
        self._stamp, self._told_at_stamp = "", set[str]()
        self._received_at: float | None = None

    def run(self) -> None:
        while not self._ended.is_set():
            self._read(follow=True)
            # A log that ends is a container's end; one that breaks off goes on.
            self._ended.wait(self._pause_seconds)

    def finish(self) -> None:
        """The rest of the log, and no more after it."""
        self._ended.set()
        self._read(follow=False)

    def abandon(self) -> None:
        """No more lines."""
        self._ended.set()

    def _read(self, *, follow: bool) -> None:
        since = None
        if self._received_at is not None:
            since = int(time.monotonic() - self._received_at) + OVERLAP_SECONDS
        try:
            for line in self._api.log_lines(self._pod, since, follow=follow):
                with self._turn:
                    if follow and self._ended.is_set():
                        return
                    self._tell(line)
        except ConnectionError:
            pass

    def _tell(self, line: str) -> None:
        written, _, text = line.partition(" ")
        stamp = sortable(written)
        if stamp < self._stamp or (stamp == self._stamp and text in self._told_at_stamp):
            return
        if stamp != self._stamp:
            self._stamp, self._told_at_stamp = stamp, set()
        self._told_at_stamp.add(text)
        self._received_at = time.monotonic()
        self._on_line(text)


def sortable(stamp: str) -> str:
    """A time stamp whose order is that of its text: some servers leave out a fraction's last zeros."""
    seconds, _, fraction = stamp.removesuffix("Z").partition(".")
    return f"{seconds}.{fraction:0<9}"
