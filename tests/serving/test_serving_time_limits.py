"""Deadlines: who is late is cancelled, in order, by one timer."""

from __future__ import annotations

import asyncio

import pytest

from serving.operations.deadlines import Deadlines


async def work(deadlines: Deadlines, seconds: float) -> str:
    deadline = deadlines.begin()
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        if not deadline.expired:
            raise
        deadline.answered()
        await asyncio.sleep(0)  # it goes on like any other
        return "late"
    finally:
        deadlines.end(deadline)
    return "done"


def test_only_who_is_late_is_cancelled() -> None:
    async def scenario() -> list[str]:
        deadlines = Deadlines(0.2)
        return await asyncio.gather(*(work(deadlines, seconds) for seconds in (0.0, 30.0, 0.01, 30.0)))

    assert asyncio.run(scenario()) == ["done", "late", "done", "late"]


def test_one_begun_after_a_pause_has_its_end_too() -> None:
    async def scenario() -> list[str]:
        deadlines = Deadlines(0.05)
        found = [await work(deadlines, 30)]
        await asyncio.sleep(0.2)  # the timer has gone to sleep
        return [*found, await work(deadlines, 30)]

    assert asyncio.run(scenario()) == ["late", "late"]


def test_none_is_cancelled_after_its_end() -> None:
    async def scenario() -> str:
        deadlines = Deadlines(0.05)
        deadline = deadlines.begin()
        deadlines.end(deadline)
        deadlines.end(deadline)
        await asyncio.sleep(0.2)
        return "expired" if deadline.expired else "not"

    assert asyncio.run(scenario()) == "not"


def test_who_is_cancelled_by_another_is_not_late() -> None:
    async def scenario() -> None:
        task = asyncio.create_task(work(Deadlines(30), 30))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(scenario())


def test_an_inner_limit_ends_first() -> None:
    async def inner(deadlines: Deadlines) -> str:
        deadline = deadlines.begin()
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(30)
        except TimeoutError:
            return "inner"
        finally:
            deadlines.end(deadline)
        return "none"

    assert asyncio.run(inner(Deadlines(5))) == "inner"


def test_an_outer_limit_is_not_taken_for_an_inner_one() -> None:
    async def outer(deadlines: Deadlines) -> str:
        deadline = deadlines.begin()
        try:
            async with asyncio.timeout(30):
                await asyncio.sleep(30)
        except TimeoutError:
            return "inner"
        except asyncio.CancelledError:
            return "outer" if deadline.expired else "stopped"
        return "none"

    assert asyncio.run(outer(Deadlines(0.05))) == "outer"
