"""Which models are served, in which version or two, and why one is not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Self

from serving.errors import ModelNotReady, UnknownModel
from serving.predict.batcher import BatchObserver
from serving.predict.predictor import Predictor
from serving.split import Choice, Split

MAIN, CANARY = "main", "canary"


class Served:
    """One version of a model that answers requests.

    Attributes:
        identity: what tells versions apart in their source; None for one that no source knows.
        verdict: ``passed``, ``failed`` or ``missing``; a person may change it at any time.
        role: ``main`` or ``canary``, by the place that it was given.
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
        self.role = MAIN
        self._leases = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def lease(self) -> Self:
        """Hold this version for one request, in a ``with`` block: it is let go only when nobody holds it."""
        return self

    def hold(self) -> None:
        """Until :meth:`let_go` it is not retired."""
        self._leases += 1
        self._idle.clear()

    def let_go(self) -> None:
        """One who held it needs it no more."""
        self._leases -= 1
        if not self._leases:
            self._idle.set()

    def __enter__(self) -> Self:
        self.hold()
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()

    async def retire(self) -> None:
        """Wait for the requests in flight, then let go of the sessions. It is in no slot any more."""
        await self._idle.wait()
        self.predictor.close()


class Place:
    """Empty, or holding a version that answers."""

    def __init__(self, name: str, problem: str = "", *, role: str = MAIN) -> None:
        self.name = name
        self.role = role
        self.current: Served | None = None
        self.problem = problem
        """Why there is no version, or why the newest one was not taken; empty if all is well."""
        self._observer: BatchObserver | None = None

    @property
    def title(self) -> str:
        """What it is called in the log."""
        return self.name if self.role == MAIN else f"{self.name} ({self.role})"

    def swap(self, served: Served) -> Served | None:
        """Make a version the one that answers; gives the one before, which is to be retired."""
        served.role = self.role
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


class Slot(Place):
    """The place of a model, and beside it the one of its canary, which answers a share of the requests.

    A canary that is the model's own version, or stands beside none, answers nothing by itself.
    """

    def __init__(self, name: str, problem: str = "", *, canary_share: float = 0.0) -> None:
        super().__init__(name, problem)
        self.canary = Place(name, role=CANARY)
        self._split = Split(canary_share)

    def observe(self, observer: BatchObserver) -> None:
        """As for any place, the canary's included."""
        super().observe(observer)
        self.canary.observe(observer)

    @property
    def served(self) -> tuple[Served, ...]:
        """The versions that answer, the model's own first."""
        own, canary = self.current, self.canary.current
        if own is None:
            return ()
        return (own,) if canary is None or canary.version == own.version else (own, canary)

    def choose(self, choice: Choice) -> Served:
        """The version for a request, of those that answer."""
        served = self.served
        if len(served) == 1:
            return served[0]  # nothing to choose yet: a canary that comes later may be chosen then
        if choice.canary is None:
            choice.canary = self._split.takes(choice.sticky)
        return served[int(choice.canary)]


class Catalog:
    """All slots by name.

    Attributes:
        draining: the server was asked to stop; it is not ready, and answers what still comes.
        has_canaries: requests are to be divided, as soon as there is a canary.
    """

    def __init__(self, names: Sequence[str], *, canary_share: float = 0.0) -> None:
        unknown = "no version was looked for yet"
        self.slots = {name: Slot(name, unknown, canary_share=canary_share) for name in names}
        self.has_canaries = canary_share > 0
        self.draining = False

    def get(self, name: str, version: str | None = None, choice: Choice | None = None) -> Served:
        """The version of a model that answers: the one that is named, or the one that is chosen.

        Args:
            choice: of a request that a canary may answer, the same one at every look; without it, none does.

        Raises:
            UnknownModel: if the model is not served here, or not in that version.
            ModelNotReady: if it has no version yet.
        """
        slot = self.slots.get(name)
        if slot is None:
            raise UnknownModel(f"there is no model {name!r} here.", f"Served: {', '.join(self.slots)}.")
        answering = slot.served
        if not answering:
            raise ModelNotReady(f"model {name!r} has no version to serve: {slot.problem}")
        if version is None:
            return slot.choose(choice) if choice is not None else answering[0]
        for served in answering:
            if served.version == version:
                return served
        versions = " and ".join(served.version for served in answering)
        raise UnknownModel(f"model {name!r} is served in version {versions}, not {version!r}.")

    def versions(self, served: Served, version: str | None = None) -> list[str]:
        """The versions that a model's metadata lists: all that answer, or the one that was asked for by name."""
        return [served.version] if version else [each.version for each in self.slots[served.name].served]

    def index(self, *, ready_only: bool) -> Iterator[tuple[str, str, str, str]]:
        """Name, version, state and reason of what answers, and of what should and does not, as the protocol has it."""
        for slot in self.slots.values():
            problems = {MAIN: slot.problem, CANARY: slot.canary.problem}
            for served in slot.served:
                yield slot.name, served.version, "READY", problems.pop(served.role)
            if ready_only:
                continue
            if slot.current is None:
                yield slot.name, "", "UNAVAILABLE", slot.problem
            if problems.get(CANARY):
                yield slot.name, "", "UNAVAILABLE", f"canary: {slot.canary.problem}"

    def in_memory(self) -> Iterator[Served]:
        """Every version that holds sessions, canaries included."""
        for slot in self.slots.values():
            yield from (place.current for place in (slot, slot.canary) if place.current is not None)

    def not_ready_because(self) -> str:
        """Why the server as a whole is not ready; empty if it is."""
        if self.draining:
            return "the server is shutting down"
        return "; ".join(f"{slot.name}: {slot.problem}" for slot in self.slots.values() if slot.current is None)
