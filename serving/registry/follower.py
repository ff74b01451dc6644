"""Follows one source: a version is taken only after it proved itself, and the one before answers until then."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from serving.bundle.reader import Bundle
from serving.catalog import Place, Served
from serving.errors import ServingError
from serving.predict.predictor import Predictor
from serving.registry.source import Source
from serving.registry.version import RegisteredVersion
from serving.version_metrics import Outcomes

logger = logging.getLogger(__name__)

T = TypeVar("T")
Load = Callable[[Bundle], Predictor]
LONGEST_PAUSE_SECONDS = 300.0


@dataclass
class _Refusal:
    """A version that failed, and when to try it again: a broken download may heal, a bad file will not."""

    identity: tuple[str, int]
    reason: str
    pause_seconds: float
    retry_at: float


class Follower:
    """Looks at one source, and swaps what one place holds.

    Args:
        place: belongs to this follower from now on.
        source: its calls block, and are made in ``threads``.
        load: makes a predictor of a verified bundle, or raises; in ``threads`` as well.
        require_verdict: refuse versions whose verdict is not ``passed``, the one that is served included.
    """

    def __init__(
        self,
        place: Place,
        source: Source,
        outcomes: Outcomes,
        load: Load,
        threads: ThreadPoolExecutor,
        *,
        poll_seconds: float,
        require_verdict: bool = False,
    ) -> None:
        self.place = place
        self.source = source
        self._outcomes = outcomes
        self._load = load
        self._threads = threads
        self._poll_seconds = poll_seconds
        self._require_verdict = require_verdict
        self._refused: _Refusal | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._looking = asyncio.Lock()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self.look()
            await asyncio.sleep(self._poll_seconds)

    async def look(self) -> None:
        """Look once, and take the version that is wanted if it is another one. Never raises."""
        async with self._looking:
            await self._look()

    async def look_now(self) -> None:
        """Look once more, also at a version that was refused and would be tried again later."""
        self._refused = None
        await self.look()

    @property
    def refusal(self) -> str:
        """Why the version that is wanted was refused; empty if it was not."""
        return self._refused.reason if self._refused else ""

    async def _look(self) -> None:
        try:
            found = await self._in_thread(self.source.resolve)
        except Exception as error:  # whatever it is: what is served goes on, and the next look may succeed
            self._outcomes.registry_failed()
            self._say(f"{self.source.what} cannot be read: {_reason(error)}")
            return
        if found is None:
            self._on_absent()
        else:
            await self._on_found(found)

    def _on_absent(self) -> None:
        """What is served goes on answering: an alias that is taken away says nothing against its version."""
        self._say(self.source.absent)

    async def _on_found(self, found: RegisteredVersion) -> None:
        current = self.place.current
        if self._require_verdict and found.verdict != "passed":
            self._refuse_verdict(found)
        elif current is not None and current.identity == found.identity:
            self._confirm(current, found)
        elif self._is_due(found):
            await self._take(found)

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    def _confirm(self, current: Served, found: RegisteredVersion) -> None:
        self.place.problem = ""
        self._refused = None
        if current.verdict != found.verdict:
            logger.info("%s version %s: verdict is now %s", self.place.title, found.version, found.verdict)
            current.verdict = found.verdict
            self._outcomes.model_served(self.place.name, current.version, current.verdict)

    def _refuse_verdict(self, found: RegisteredVersion) -> None:
        """The verdict may change at any look, so that this refusal knows no pause.

        A version that is served already is withdrawn: what is served must not depend on whether the verdict
        fell before or after the last start. Another version goes on, as after any refusal.
        """
        if self.place.current is not None and self.place.current.identity == found.identity:
            self._withdraw()
        if self._say(f"version {found.version} is refused: its verdict is {found.verdict}, not passed"):
            self._outcomes.swap(self.place.name, succeeded=False)

    def _is_due(self, found: RegisteredVersion) -> bool:
        if self._refused is None or self._refused.identity != found.identity:
            return True
        self._say(self._refused.reason)
        return time.monotonic() >= self._refused.retry_at

    async def _take(self, found: RegisteredVersion) -> None:
        started = time.monotonic()
        try:
            predictor = await self._in_thread(self._prepare, found)
        except Exception as error:  # whatever a candidate does: it is refused, and the version before it stays
            self._refuse(found, _reason(error))
            return
        self._refused = None
        served = Served(self.place.name, found.version, predictor, verdict=found.verdict, identity=found.identity)
        before = self.place.swap(served)
        self._outcomes.model_served(served.name, served.version, served.verdict)
        self._outcomes.swap(served.name, succeeded=True)
        logger.info(
            "%s: serving version %s (verdict %s, %s) after %.1f s",
            *(self.place.title, served.version, served.verdict, predictor.provider, time.monotonic() - started),
        )
        self._retire(before)

    def _prepare(self, version: RegisteredVersion) -> Predictor:
        """Fetch, verify, load, warm up, compare with the golden tensor."""
        return self._load(self.source.fetch(version))

    def _withdraw(self) -> None:
        before = self.place.withdraw()
        if before is not None:
            self._retire(before)
            self._outcomes.model_withdrawn(self.place.name)

    def _retire(self, before: Served | None) -> None:
        if before is not None:
            task = asyncio.create_task(before.retire())
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    def _refuse(self, found: RegisteredVersion, why: str) -> None:
        refused = self._refused
        again = refused is not None and refused.identity == found.identity
        pause = min(refused.pause_seconds * 2, LONGEST_PAUSE_SECONDS) if refused and again else self._poll_seconds
        reason = f"version {found.version} is refused: {why}"
        self._refused = _Refusal(found.identity, reason, pause, time.monotonic() + pause)
        self._outcomes.swap(self.place.name, succeeded=False)
        self._say(reason)

    def _say(self, problem: str) -> bool:
        """Note why a place is as it is; logged once, not at every look."""
        if self.place.problem == problem:
            return False
        self.place.problem = problem
        kept = f"; version {self.place.current.version} goes on answering" if self.place.current else ""
        logger.warning("%s: %s%s", self.place.title, problem, kept)
        return True


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, ServingError) else f"{type(error).__name__}: {error}"
