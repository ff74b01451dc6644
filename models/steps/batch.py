"""What one update is given: real samples, and the moment of training it happens at."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Real samples [N, *sample_shape] as the family takes them, and their classes, int64 [N], where there are any."""

    samples: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.samples)

    def split(self, parts: int) -> list[Batch]:
        """Equal parts, in order."""
        rows = len(self) // parts
        return [
            Batch(
                self.samples[start : start + rows],
                None if self.labels is None else self.labels[start : start + rows],
            )
            for start in range(0, len(self), rows)
        ]


@dataclass(frozen=True)
class Moment:
    """Where training stands, and what that scales.

    Everything in it is a function of the recipe, the images seen and the roll-backs so far, so that going on from a
    checkpoint is going on from here.
    """

    images_seen: int
    """Real samples shown before this update."""
    progress: float
    """Share of the budget that is spent, in [0, 1]."""
    learning_rate_share: float = 1.0
    """Factor on every learning rate, in [0, 1]."""
    penalty_factor: float = 1.0
    """Factor on R1, R2 and the gradient penalty; above 1 after a roll-back."""
    instance_noise: float = 0.0
    """Least sigma of the noise on D's inputs, whatever the recipe's schedule says; above 0 after a roll-back."""
