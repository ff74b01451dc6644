"""The promotion rule: a verdict in, alias moves out. A pure function."""

from __future__ import annotations

from dataclasses import dataclass

from components.evaluate.documents import Verdict
from components.tracking import CHALLENGER, CHAMPION


@dataclass(frozen=True)
class Decision:
    """What happens to the aliases, and why.

    ``alias`` is the one that the new version gets, if any.
    """

    alias: str | None
    passed: bool
    reason: str


def decide(verdict: Verdict, *, automatic: bool, unseen_champion: str | None = None) -> Decision:
    """Which alias a version earns.

    Failed checks earn none. Passed checks earn ``challenger``; being non-inferior to the champion as well, where
    promotion is automatic, earns ``champion``.

    Args:
        verdict: the gate's answer.
        automatic: whether an alias that serves may move without a person.
        unseen_champion: the version that serves now, where the verdict could have been reached against it and was
            not: "non-inferior" then says nothing of it.
    """
    if not verdict.passed:
        failed = [f"{check.name} ({check.reason})" for check in verdict.checks if not check.passed]
        return Decision(None, False, f"{len(failed)} of {len(verdict.checks)} checks failed: " + "; ".join(failed))
    if not verdict.non_inferior:
        return Decision(CHALLENGER, True, "passed, but is not as good as the champion")
    if not automatic:
        return Decision(CHALLENGER, True, "passed; automatic promotion is off, so a person decides")
    if unseen_champion is not None:
        return Decision(
            CHALLENGER, True, f"passed, but was not compared with version {unseen_champion}, which serves now"
        )
    return Decision(CHAMPION, True, "passed")
