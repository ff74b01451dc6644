"""What training does about alarms: tell them, and on divergence go back and change something."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.alarms import PATIENCE, Alarm, alarms_of
from models.config import RecoverySettings
from models.errors import TrainingError


@dataclass
class Health:
    """The reports so far, and which alarms have been told already."""

    history: list[dict[str, float]] = field(default_factory=list)
    told: set[str] = field(default_factory=set)

    def add(self, images_seen: int, numbers: dict[str, float], progress: float) -> list[Alarm]:
        """The alarms that this report gives and that were not on at the one before."""
        self.history.append({"images_seen": images_seen, **numbers})
        alarms = alarms_of(self.history, progress=progress)
        new = [alarm for alarm in alarms if alarm.name not in self.told]
        self.told = {alarm.name for alarm in alarms}
        return new

    def onset(self, alarm: Alarm) -> int:
        """Images seen at the last report that was still healthy; 0 where there is none."""
        late = 1 if alarm.name == "non-finite" else PATIENCE
        healthy = self.history[:-late]
        return int(healthy[-1]["images_seen"]) if healthy else 0

    def go_back(self, images_seen: int) -> None:
        """Forget what was reported after a moment."""
        self.history = [numbers for numbers in self.history if numbers["images_seen"] <= images_seen]
        self.told = set()


def require_another_attempt(rollbacks: int, settings: RecoverySettings, reason: str, images_seen: int) -> None:
    """Refuse to roll back once more than the recipe allows.

    Raises:
        TrainingError: with the reason, after ``attempts`` roll-backs.
    """
    if rollbacks >= settings.attempts:
        tried = f" {rollbacks} roll-backs did not help." if rollbacks else ""
        raise TrainingError(
            f"Training diverged after {images_seen:,} images: {reason}.{tried}",
            "Lower the learning rates or raise the penalties, or allow more in training.recovery.attempts.",
        )


def what_changes(settings: RecoverySettings, rollbacks: int) -> str:
    """In words, what the n-th roll-back changes."""
    changes = [f"learning rates x {settings.learning_rate_factor**rollbacks:g}"]
    if settings.penalty_factor != 1.0:
        changes.append(f"penalties x {settings.penalty_factor**rollbacks:g}")
    if settings.instance_noise:
        changes.append(f"instance noise {settings.instance_noise:g}")
    return ", ".join(changes)
