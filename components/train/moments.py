"""Where training stands, as a function of the recipe, the images seen and the roll-backs so far."""

from __future__ import annotations

from components.train.schedule import learning_rate_share
from models.config import TrainingSettings
from models.steps.batch import Moment


def moment_at(images_seen: int, rollbacks: int, settings: TrainingSettings) -> Moment:
    """The moment after ``images_seen`` images and ``rollbacks`` roll-backs."""
    progress = min(1.0, images_seen / settings.images_seen)
    recovery = settings.recovery
    return Moment(
        images_seen=images_seen,
        progress=progress,
        learning_rate_share=learning_rate_share(images_seen, settings) * recovery.learning_rate_factor**rollbacks,
        penalty_factor=recovery.penalty_factor**rollbacks,
        instance_noise=recovery.instance_noise * (1.0 - progress) if rollbacks else 0.0,
    )
