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
        """The version that a request is for; its answer will name it.

        Raises:
            UnknownModel, ModelNotReady: if there is none.
        """
        parameters = scope["path_params"]
        served = self.catalog.get(parameters["model"], parameters.get("version"))
        name_version(scope, served)
        return served
