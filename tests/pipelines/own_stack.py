"""A call on a stack of its own, as short as that of the command line's own process."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def on_its_own_stack(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What the call returns or raises, from a thread of its own.

    At each of a graph's forty settings KFP looks its whole call stack up, for a name in an error that is not raised.
    Under a test that stack is sixty frames deep, and the frames without a file cost a search of all modules each: two
    seconds a graph, twenty times what it takes here.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(call, *args, **kwargs).result()
