"""What every transport works with beside the models."""

from __future__ import annotations

from serving.metrics import Metrics, Runs
from serving.operations.logs import AccessLog
from serving.operations.token import Token
from serving.operations.tracing import CURRENT, RequestTrace, Tracing
from serving.settings import Settings


class Operations:
    """The token, the access log and the traces of one server.

    Attributes:
        token: none if the server is open to all.
        tracing: none if no traces are wanted.

    Raises:
        UsageError: if the token's file holds none.
    """

    def __init__(self, settings: Settings, tracing: Tracing | None = None) -> None:
        self.token = Token(settings.auth_token_file) if settings.auth_token_file else None
        self.access_log = AccessLog(everything=settings.access_log)
        self.tracing = tracing


class ModelObserver:
    """Tells the metrics of runs, and the trace of the request that they were for."""

    def __init__(self, metrics: Metrics, model: str) -> None:
        self._runs: Runs = metrics.runs(model)

    def submitted(self) -> object:
        """The trace of the request that asks, if there is one."""
        return CURRENT.get()

    def answered(self, mark: object, queued_at: float, started_at: float, ended_at: float) -> None:
        """One part of a request waited, and its graph ran."""
        if isinstance(mark, RequestTrace):
            mark.answered(queued_at, started_at, ended_at)

    def ran(self, graph: str, rows: int, seconds: float) -> None:
        """One run ended."""
        self._runs.ran(rows, seconds)
