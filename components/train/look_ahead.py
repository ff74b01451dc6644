"""What will be asked for next is read while the present is worked on."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class LookAhead(Generic[Key, Value]):
    """A function's values, the next one computed in a thread of its own before it is asked for.

    The function is called in that one thread alone, so that it may keep a state; a wrong guess costs a call and
    changes no value.
    """

    def __init__(self, function: Callable[[Key], Value]) -> None:
        self._function = function
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="look-ahead")
        self._next: tuple[Key, Future[Value]] | None = None

    def at(self, key: Key, following: Key) -> Value:
        """The function's value at ``key``; that at ``following`` is begun.

        Raises:
            Exception: what the function raises at ``key``, whenever it was called.
        """
        begun, self._next = self._next, None
        present = begun[1] if begun is not None and begun[0] == key else self._thread.submit(self._function, key)
        value = present.result()
        self._next = (following, self._thread.submit(self._function, following))
        return value
