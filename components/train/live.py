"""Training as MLflow shows it while it goes on, where the store is a server that others can watch."""

from __future__ import annotations

from components.tracking import Tracking


class Live:
    """Tells a tracking server of losses and sample pictures."""

    def __init__(self, model_name: str, pipeline_run_id: str) -> None:
        self._tracking = Tracking()
        self.run_id = self._tracking.run_for(model_name, pipeline_run_id)

    def on_numbers(self, images_seen: int, numbers: dict[str, float]) -> None:
        self._tracking.log_history(self.run_id, [{"images_seen": images_seen, **numbers}])

    def on_samples(self, images_seen: int, png: bytes) -> None:
        self._tracking.log_sample_pictures(self.run_id, {images_seen: png})
