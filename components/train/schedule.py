"""The learning rate over a training run."""

from __future__ import annotations

import math

from models.config import TrainingSettings


def learning_rate_share(images_seen: int, settings: TrainingSettings) -> float:
    """Factor on every learning rate after ``images_seen`` images: warm-up, plateau, cosine decay.

    Returns:
        A number in [0, 1]; ``final_learning_rate_share`` at the end of the budget and beyond it.
    """
    if images_seen < settings.warmup_images:
        return (images_seen + 1) / (settings.warmup_images + 1)
    decay_start = settings.decay_start_share * settings.images_seen
    if images_seen <= decay_start or decay_start >= settings.images_seen:
        return 1.0
    progress = min(1.0, (images_seen - decay_start) / (settings.images_seen - decay_start))
    final = settings.final_learning_rate_share
    return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * progress))
