"""Follows an alias: a version is taken only after it proved itself, and the one before answers until then."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from serving.bundle.reader import Bundle, read_bundle
from serving.catalog import Catalog, Served, Slot
from serving.errors import ServingError
from serving.metrics import Metrics
from serving.predict.predictor import Predictor
from serving.registry.reader import RegisteredVersion, Registry

logger = logging.getLogger(__name__)

T = TypeVar("T")
LONGEST_PAUSE_SECONDS = 300.0


@dataclass
class _Refusal:
    """A version that failed, and when to try it again: a broken download may heal, a bad file will not."""

    identity: tuple[str, int]
    reason: str
    pause_seconds: float
    retry_at: float


class Watcher:
    """Polls a registry and swaps what a catalog serves.

    Args:
        registry: its calls block, and are made in threads.
        load: makes a predictor of a verified bundle, or raises.
        require_verdict: refuse versions whose verdict is not ``passed``, the one that is served included.
    """

    def __init__(
        self,
        registry: Registry,
        catalog: Catalog,
        metrics: Metrics,
        load: Callable[[Bundle], Predictor],
        *,
        alias: str,
        poll_seconds: float,
        require_verdict: bool = False,
    ) -> None:
        self._registry = registry
        self._catalog = catalog
        self._metrics = metrics
        self._load = load
        self._alias = alias
        self._poll_seconds = poll_seconds
        self._require_verdict = require_verdict
        self._refused: dict[str, _Refusal] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._looking = {name: asyncio.Lock() for name in catalog.slots}
        # A thread for each model, and none of those that requests need: a download may take minutes.
        self._threads = ThreadPoolExecutor(max(1, len(catalog.slots)), thread_name_prefix="ganvas-watcher")

    async def run(self) -> None:
        """Look at the alias of every model, for ever; none waits for another. It runs once."""
        try:
            async with asyncio.TaskGroup() as group:
                for slot in self._catalog.slots.values():
                    group.create_task(self._follow(slot))
        finally:
            self._registry.close()
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _follow(self, slot: Slot) -> None:
        while True:
            await self.look(slot)
            await asyncio.sleep(self._poll_seconds)

    async def look(self, slot: Slot) -> None:
        """Look once, and take the version that the alias points at if it is another one. Never raises."""
        async with self._looking[slot.name]:
            await self._look(slot)

    async def look_now(self, slot: Slot) -> None:
        """Look once more, also at a version that was refused and would be tried again later."""
        self._refused.pop(slot.name, None)
        await self.look(slot)

    def refusal(self, slot: Slot) -> str:
        """Why the version that the alias points at was refused; empty if it was not."""
        refused = self._refused.get(slot.name)
        return refused.reason if refused else ""

    async def _look(self, slot: Slot) -> None:
        try:
            found = await self._in_thread(self._registry.resolve, slot.name, self._alias)
        except Exception as error:
            self._metrics.registry_failed()
            self._say(slot, f"the registry cannot be read: {_reason(error)}")
            return
        if found is None:
            self._say(slot, f"no version has the alias {self._alias!r}")
        elif self._require_verdict and found.verdict != "passed":
            self._refuse_verdict(slot, found)
        elif slot.current is not None and slot.current.identity == found.identity:
            self._confirm(slot, slot.current, found)
        elif self._is_due(slot, found):
            await self._take(slot, found)

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    def _confirm(self, slot: Slot, current: Served, found: RegisteredVersion) -> None:
        slot.problem = ""
        self._refused.pop(slot.name, None)
        if current.verdict != found.verdict:
            logger.info("%s version %s: verdict is now %s", slot.name, found.version, found.verdict)
            current.verdict = found.verdict
            self._metrics.model_served(slot.name, current.version, current.verdict)

    def _refuse_verdict(self, slot: Slot, found: RegisteredVersion) -> None:
        """The verdict may change at any look, so that this refusal knows no pause.

        A version that is served already is withdrawn: what is served must not depend on whether the verdict
        fell before or after the last start. Another version goes on, as after any refusal.
        """
        if slot.current is not None and slot.current.identity == found.identity:
            self._retire(slot.withdraw())
            self._metrics.model_withdrawn(slot.name)
        if self._say(slot, f"version {found.version} is refused: its verdict is {found.verdict}, not passed"):
            self._metrics.swap(slot.name, succeeded=False)

    def _is_due(self, slot: Slot, found: RegisteredVersion) -> bool:
        refused = self._refused.get(slot.name)
        if refused is None or refused.identity != found.identity:
            return True
        self._say(slot, refused.reason)
        return time.monotonic() >= refused.retry_at

    async def _take(self, slot: Slot, found: RegisteredVersion) -> None:
        started = time.monotonic()
        try:
            predictor = await self._in_thread(self._prepare, found)
        except Exception as error:
            self._refuse(slot, found, _reason(error))
            return
        self._refused.pop(slot.name, None)
        served = Served(slot.name, found.version, predictor, verdict=found.verdict, identity=found.identity)
        before = slot.swap(served)
        self._metrics.model_served(slot.name, served.version, served.verdict)
        self._metrics.swap(slot.name, succeeded=True)
        logger.info(
            "%s: serving version %s (verdict %s, %s) after %.1f s",
            *(slot.name, served.version, served.verdict, predictor.provider, time.monotonic() - started),
        )
        self._retire(before)

    def _retire(self, before: Served | None) -> None:
        if before is not None:
            task = asyncio.create_task(before.retire())
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    def _prepare(self, version: RegisteredVersion) -> Predictor:
        """Download into a fresh directory, verify, load, warm up, compare; no file is left behind."""
        with tempfile.TemporaryDirectory(prefix="ganvas-") as directory:
            self._registry.download(version, Path(directory))
            bundle = read_bundle(Path(directory))
        return self._load(bundle)

    def _refuse(self, slot: Slot, found: RegisteredVersion, why: str) -> None:
        refused = self._refused.get(slot.name)
        again = refused is not None and refused.identity == found.identity
        pause = min(refused.pause_seconds * 2, LONGEST_PAUSE_SECONDS) if refused and again else self._poll_seconds
        reason = f"version {found.version} is refused: {why}"
        self._refused[slot.name] = _Refusal(found.identity, reason, pause, time.monotonic() + pause)
        self._metrics.swap(slot.name, succeeded=False)
        self._say(slot, reason)

    def _say(self, slot: Slot, problem: str) -> bool:
        """Note why a slot is as it is; logged once, not at every look."""
        if slot.problem == problem:
            return False
        slot.problem = problem
        kept = f"; version {slot.current.version} goes on answering" if slot.current else ""
        logger.warning("%s: %s%s", slot.name, problem, kept)
        return True


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, ServingError) else f"{type(error).__name__}: {error}"
