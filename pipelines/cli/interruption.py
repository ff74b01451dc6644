"""Ctrl-C that is not lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def noticed_interrupt() -> Iterator[Callable[[], None]]:
    """Within, Ctrl-C raises KeyboardInterrupt at once, and again at every call of what is given.

    Once is not enough: where it happens to hit an object's finalizer, or a client's library that catches everything,
    Python drops the exception and the program goes on.
    """
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        raise KeyboardInterrupt

    def require_uninterrupted() -> None:
        if asked:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # where no handler can be set, nor is one called
        yield require_uninterrupted
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield require_uninterrupted
    finally:
        signal.signal(signal.SIGINT, before)
