"""Ctrl-C is heeded also where the exception of it was dropped."""

from __future__ import annotations

import signal

import pytest

from pipelines.cli.interruption import noticed_interrupt


def test_it_is_raised_at_once_and_again_where_it_was_dropped() -> None:
    before = signal.getsignal(signal.SIGINT)
    with noticed_interrupt() as require_uninterrupted:
        require_uninterrupted()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            require_uninterrupted()
    assert signal.getsignal(signal.SIGINT) is before
