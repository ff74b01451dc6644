"""What is read ahead: the same values, the next one without being asked for, errors where they belong."""

from __future__ import annotations

import threading

import pytest

from components.train.look_ahead import LookAhead


def test_the_values_are_the_functions_whatever_is_guessed() -> None:
    ahead = LookAhead[int, int](lambda key: key * key)
    for key, following in [(0, 1), (1, 2), (7, 8), (8, 7), (8, 9), (0, 0), (0, 1)]:
        assert ahead.at(key, following) == key * key


def test_the_next_value_is_computed_before_it_is_asked_for_and_once() -> None:
    calls: list[int] = []
    begun = threading.Event()

    def function(key: int) -> int:
        calls.append(key)
        if key == 1:
            begun.set()
        return key

    ahead = LookAhead[int, int](function)
    ahead.at(0, 1)
    assert begun.wait(30)
    ahead.at(1, 2)
    assert calls[:2] == [0, 1]
    assert calls.count(1) == 1


def test_the_function_is_called_in_one_thread_that_is_not_the_callers() -> None:
    ahead = LookAhead[int, int](lambda _: threading.get_ident())
    found = {ahead.at(key, key + 1) for key in (0, 1, 5, 6)}
    assert len(found) == 1
    assert threading.get_ident() not in found


def test_an_error_is_that_of_the_key_which_is_asked_for() -> None:
    def function(key: int) -> int:
        if key == 1:
            raise OSError("the shard is gone")
        return key

    ahead = LookAhead[int, int](function)
    assert ahead.at(0, 1) == 0  # guessed, and not asked for yet
    assert ahead.at(5, 6) == 5
    assert ahead.at(0, 1) == 0
    with pytest.raises(OSError, match="the shard is gone"):
        ahead.at(1, 2)
    assert ahead.at(2, 3) == 2
