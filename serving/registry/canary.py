"""Follows a canary: as any other source, but beside a champion, and gone as soon as it is of no use."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from serving.catalog import Slot
from serving.registry.follower import Follower, Load
from serving.registry.source import Source
from serving.registry.version import RegisteredVersion
from serving.version_metrics import Outcomes


class CanaryFollower(Follower):
    """Fills a slot's second place.

    There is none without a champion beside it, and none that is the champion itself. One whose alias is gone,
    because it was promoted or given up, gives its place up at the next look.
    """

    def __init__(
        self,
        slot: Slot,
        source: Source,
        outcomes: Outcomes,
        load: Load,
        threads: ThreadPoolExecutor,
        *,
        poll_seconds: float,
        require_verdict: bool = False,
    ) -> None:
        super().__init__(
            slot.canary,
            source,
            outcomes,
            load,
            threads,
            poll_seconds=poll_seconds,
            require_verdict=require_verdict,
        )
        self._slot = slot

    def _on_absent(self) -> None:
        self._leave()

    async def _on_found(self, found: RegisteredVersion) -> None:
        champion = self._slot.current
        if champion is None:
            return  # nothing to compare it with; the next look may find one
        if champion.identity == found.identity:
            self._leave()
            return
        await super()._on_found(found)

    def _leave(self) -> None:
        self._withdraw()
        self._refused = None
        self.place.problem = ""
