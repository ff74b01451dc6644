"""The promotion rule: a verdict in, alias moves out. A pure function."""

from __future__ import annotations

from dataclasses import dataclass

from components.evaluate.documents import Verdict

CHAMPION = "champion"
CHALLENGER = "challenger"


@dataclass(frozen=True)
class Decision:
    """What happens to the aliases, and why.

    ``alias`` is the one that the new version gets, if any.
    """

    alias: str | None
    passed: bool
    reason: str


def decide(verdict: Verdict, *, automatic: bool) -> Decision:
    """Which alias a version earns.

    Failed checks earn none. Passed checks earn ``challenger``; being non-inferior to the champion as well, where
    promotion is automatic, earns ``champion``.
    """
    if not verdict.passed:
        failed = [f"{check.name} ({check.reason})" for check in verdict.checks if not check.passed]
        return Decision(None, False, f"{len(failed)} of {len(verdict.checks)} checks failed: " + "; ".join(failed))
    if not verdict.non_inferior:
        return Decision(CHALLENGER, True, "passed, but is not as good as the champion")
    if not automatic:
        return Decision(CHALLENGER, True, "passed; automatic promotion is off, so a person decides")
    return Decision(CHAMPION, True, "passed")
