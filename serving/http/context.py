"""What every route works with."""

from __future__ import annotations

from starlette.types import Scope

from serving.catalog import Catalog, Served
from serving.http.admission import Admission
from serving.http.body import Bodies
from serving.http.instrument import name_version
from serving.metrics import Metrics
from serving.registry.watcher import Watcher
from serving.settings import Settings
from serving.split import Choice

STICKY_HEADER = b"ganvas-sticky"
CHOICE_KEY = "ganvas.choice"
"""In a request's scope: for which of two versions it is."""


class Context:
    """The catalog, the limits, and what is held at a time of each.

    Attributes:
        bodies: of all requests together.
        admission: places for requests in hand.
        watcher: follows a registry; none if a directory is served.
    """

    def __init__(self, catalog: Catalog, metrics: Metrics, settings: Settings, watcher: Watcher | None = None) -> None:
        self.catalog = catalog
        self.metrics = metrics
        self.settings = settings
        self.watcher = watcher
        self.bodies = Bodies(
            limit=settings.max_body_bytes, total=settings.max_bodies_bytes, seconds=settings.receive_seconds
        )
        self.admission = Admission(settings.max_requests)

    def served(self, scope: Scope) -> Served:
        """The version that a request is for, a canary's among them; its answer will name it.

        Looked up again, a request keeps to the side that it was given first.

        Raises:
            UnknownModel, ModelNotReady: if there is none.
        """
        choice = None
        if self.catalog.has_canaries:
            choice = scope.get(CHOICE_KEY)
            if choice is None:
                choice = scope[CHOICE_KEY] = Choice(_sticky(scope))
        return self._named(scope, choice)

    def described(self, scope: Scope) -> Served:
        """The version that a question about the model is for: no canary, unless it is named.

        Raises:
            UnknownModel, ModelNotReady: if there is none.
        """
        return self._named(scope, None)

    def _named(self, scope: Scope, choice: Choice | None) -> Served:
        parameters = scope["path_params"]
        served = self.catalog.get(parameters["model"], parameters.get("version"), choice)
        name_version(scope, served)
        return served


def _sticky(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == STICKY_HEADER:
            return str(value.decode("latin-1"))
    return ""
