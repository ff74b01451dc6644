"""How often something is asked again, and after which pause."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retry:
    """Bounded attempts with exponential pauses and full jitter.

    Jitter spreads the requests of many processes that were told to slow down at the same moment.
    """

    attempts: int = 8
    first_pause_seconds: float = 0.1
    longest_pause_seconds: float = 20.0

    def pause(self, failures: int) -> None:
        """Sleep before the next attempt, after ``failures`` (>= 1) failed ones."""
        longest = min(self.longest_pause_seconds, self.first_pause_seconds * 2.0 ** (failures - 1))
        time.sleep(random.uniform(0.0, longest))
