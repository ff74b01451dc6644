"""Which models are served, in which version, and why one is not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Self

from serving.errors import ModelNotReady, UnknownModel
from serving.predict.batcher import BatchObserver
from serving.predict.predictor import Predictor

BUNDLE_VERSION = "bundle"


class Served:
    """One version of a model that answers requests.

    Attributes:
        identity: what tells versions apart in the registry; empty for a directory.
        verdict: ``passed``, ``failed`` or ``missing``; a person may change it at any time.
    """

    def __init__(
        self,
        name: str,
        version: str,
        predictor: Predictor,
        *,
        verdict: str = "missing",
        identity: tuple[str, int] | None = None,
    ) -> None:
        self.name = name
        self.version = version
        self.predictor = predictor
        self.verdict = verdict
        self.identity = identity
        self._leases = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def lease(self) -> Self:
        """Hold this version for one request, in a ``with`` block: it is let go only when nobody holds it."""
        return self

    def __enter__(self) -> Self:
        self._leases += 1
        self._idle.clear()
        return self

    def __exit__(self, *_: object) -> None:
        self._leases -= 1
        if not self._leases:
            self._idle.set()

    async def retire(self) -> None:
        """Wait for the requests in flight, then let go of the sessions. It is in no slot any more."""
        await self._idle.wait()
        self.predictor.close()


class Slot:
    """The place of a model: empty, or holding the version that answers."""

    def __init__(self, name: str, problem: str = "") -> None:
        self.name = name
        self.current: Served | None = None
        self.problem = problem
        """Why there is no version, or why the newest one was not taken; empty if all is well."""
        self._observer: BatchObserver | None = None

    def swap(self, served: Served) -> Served | None:
        """Make a version the one that answers; gives the one before, which is to be retired."""
        before, self.current, self.problem = self.current, served, ""
        if self._observer:
            served.predictor.observe(self._observer)
        return before

    def observe(self, observer: BatchObserver) -> None:
        """Tell someone of the runs of this version and of those that follow."""
        self._observer = observer
        if self.current:
            self.current.predictor.observe(observer)

    def withdraw(self) -> Served | None:
        """Let no version answer; gives the one that did, which is to be retired. The caller says why."""
        before, self.current = self.current, None
        return before


class Catalog:
    """All slots by name.

    Attributes:
        draining: the server was asked to stop; it is not ready, and answers what still comes.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.slots = {name: Slot(name, "no version was looked for yet") for name in names}
        self.draining = False

    def get(self, name: str, version: str | None = None) -> Served:
        """The version of a model that answers.

        Raises:
            UnknownModel: if the model is not served here, or not in that version.
            ModelNotReady: if it has no version yet.
        """
        slot = self.slots.get(name)
        if slot is None:
            raise UnknownModel(f"there is no model {name!r} here.", f"Served: {', '.join(self.slots)}.")
        if slot.current is None:
            raise ModelNotReady(f"model {name!r} has no version to serve: {slot.problem}")
        if version is not None and version != slot.current.version:
            raise UnknownModel(f"model {name!r} is served in version {slot.current.version}, not {version!r}.")
        return slot.current

    def not_ready_because(self) -> str:
        """Why the server as a whole is not ready; empty if it is."""
        if self.draining:
            return "the server is shutting down"
        return "; ".join(f"{slot.name}: {slot.problem}" for slot in self.slots.values() if slot.current is None)
