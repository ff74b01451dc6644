"""What every route works with."""

from __future__ import annotations

from starlette.requests import Request

from serving.catalog import Catalog, Served
from serving.http.admission import Admission
from serving.http.body import Bodies
from serving.http.instrument import name_version
from serving.metrics import Metrics
from serving.settings import Settings
from serving.split import Choice

STICKY_HEADER = "ganvas-sticky"
_KEY = "ganvas.choice"


class Context:
    """The catalog, the limits, and what is held at a time of each.

    Attributes:
        bodies: of all requests together.
        admission: places for requests in hand.
    """

    def __init__(self, catalog: Catalog, metrics: Metrics, settings: Settings) -> None:
        self.catalog = catalog
        self.metrics = metrics
        self.settings = settings
        self.bodies = Bodies(
            limit=settings.max_body_bytes, total=settings.max_bodies_bytes, seconds=settings.receive_seconds
        )
        self.admission = Admission(settings.max_requests)

    def served(self, request: Request) -> Served:
        """The version that this request is for, a canary's among them; its answer will name it.

        Looked up again, a request keeps to the side that it was given first.

        Raises:
            UnknownModel, ModelNotReady: if there is none.
        """
        choice = request.scope.get(_KEY)
        if choice is None:
            choice = request.scope[_KEY] = Choice(request.headers.get(STICKY_HEADER, ""))
        return self._named(request, choice)

    def described(self, request: Request) -> Served:
        """The version that a question about the model is for: no canary, unless it is named.

        Raises:
            UnknownModel, ModelNotReady: if there is none.
        """
        return self._named(request, None)

    def _named(self, request: Request, choice: Choice | None) -> Served:
        served = self.catalog.get(request.path_params["model"], request.path_params.get("version"), choice)
        name_version(request.scope, served)
        return served
