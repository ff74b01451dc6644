"""All followers together, for as long as the server lives."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from serving.catalog import Catalog, Slot
from serving.metrics import Metrics
from serving.registry.canary import CanaryFollower
from serving.registry.follower import Follower, Load
from serving.registry.source import Source


class Watcher:
    """Looks at every source and swaps what a catalog serves.

    Args:
        sources: of every model of the catalog that is followed, by its name.
        canaries: of those that have one, by the model's name.
        load: makes a predictor of a verified bundle, or raises.
        require_verdict: refuse versions whose verdict is not ``passed``, the one that is served included.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        catalog: Catalog,
        metrics: Metrics,
        load: Load,
        *,
        canaries: Mapping[str, Source] | None = None,
        poll_seconds: float,
        require_verdict: bool = False,
    ) -> None:
        canaries = canaries or {}
        # A thread for each, and none of those that requests need: a download may take minutes.
        count = max(1, len(sources) + len(canaries))
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="ganvas-watcher")
        self._followers: list[Follower] = [
            Follower(
                catalog.slots[name],
                source,
                metrics.models,
                load,
                self._threads,
                poll_seconds=poll_seconds,
                require_verdict=require_verdict,
            )
            for name, source in sources.items()
        ]
        self._followers += [
            CanaryFollower(
                catalog.slots[name],
                source,
                metrics.canaries,
                load,
                self._threads,
                poll_seconds=poll_seconds,
                require_verdict=require_verdict,
            )
            for name, source in canaries.items()
        ]

    async def run(self) -> None:
        """Look at every source, for ever; none waits for another. It runs once."""
        try:
            async with asyncio.TaskGroup() as group:
                for follower in self._followers:
                    group.create_task(follower.run())
        finally:
            for follower in self._followers:
                follower.source.close()
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def look_now(self, slot: Slot) -> None:
        """Look once more at what a model's places follow, also at versions that would be tried again later."""
        await asyncio.gather(*(follower.look_now() for follower in self._followers if follower.place.name == slot.name))

    def refusal(self, slot: Slot) -> str:
        """Why the version that a model's own place wants was refused; empty if it was not."""
        return next((follower.refusal for follower in self._followers if follower.place is slot), "")
