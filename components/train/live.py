"""Training as MLflow shows it while it goes on, where the store is a server that others can watch."""

from __future__ import annotations

from collections.abc import Callable

from components.step import say
from components.tracking import Tracking
from models.alarms import Alarm
from models.errors import TrackingError


class Live:
    """Tells a tracking server of losses and sample pictures."""

    def __init__(self, model_name: str, pipeline_run_id: str) -> None:
        self._tracking = Tracking()
        self.run_id = self._tracking.run_for(model_name, pipeline_run_id)
        self._lost = False

    def on_numbers(self, images_seen: int, numbers: dict[str, float]) -> None:
        self._try(lambda: self._tracking.log_history(self.run_id, [{"images_seen": images_seen, **numbers}]))

    def on_samples(self, images_seen: int, png: bytes) -> None:
        self._try(lambda: self._tracking.log_sample_pictures(self.run_id, {images_seen: png}))

    def on_alarm(self, images_seen: int, alarm: Alarm) -> None:
        pass

    def on_rollback(self, images_seen: int, text: str) -> None:
        pass

    def _try(self, log: Callable[[], None]) -> None:
        """Training does not depend on a server: promote logs everything from the files once more."""
        if self._lost:
            return
        try:
            log()
        except TrackingError as error:
            self._lost = True
            say(f"MLflow is not told of training any more: {error}")
