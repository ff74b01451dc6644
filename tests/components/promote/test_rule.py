"""The promotion rule as a table."""

from __future__ import annotations

import pytest

from components.evaluate.documents import Check, Verdict
from components.promote.rule import decide


def verdict(passed: bool, non_inferior: bool) -> Verdict:
    checks = [
        Check(name=name, value=1.0, interval=None, limit=2.0, champion=None, passed=good, reason=f"because of {name}")
        for name, good in (("soundness", True), ("distance", passed), ("shares", passed))
    ]
    return Verdict(passed=passed, checks=checks, non_inferior=non_inferior, limits_source="test")


@pytest.mark.parametrize(
    ("passed", "non_inferior", "automatic", "alias"),
    [
        (True, True, True, "champion"),
        (True, True, False, "challenger"),
        (True, False, True, "challenger"),
        (True, False, False, "challenger"),
        (False, True, True, None),
        (False, True, False, None),
        (False, False, True, None),
        (False, False, False, None),
    ],
)
def test_the_rule(passed: bool, non_inferior: bool, automatic: bool, alias: str | None) -> None:
    decision = decide(verdict(passed, non_inferior), automatic=automatic)
    assert decision.alias == alias
    assert decision.passed is passed
    assert decision.reason


@pytest.mark.parametrize(
    ("passed", "automatic", "alias"),
    [(True, True, "challenger"), (True, False, "challenger"), (False, True, None)],
)
def test_a_champion_that_the_verdict_does_not_speak_of_is_not_replaced(
    passed: bool, automatic: bool, alias: str | None
) -> None:
    decision = decide(verdict(passed, True), automatic=automatic, unseen_champion="7")
    assert decision.alias == alias
    assert decision.passed is passed


def test_a_failure_states_every_failed_check_with_its_reason() -> None:
    reason = decide(verdict(False, True), automatic=True).reason
    assert "2 of 3" in reason
    assert "distance (because of distance)" in reason
    assert "shares (because of shares)" in reason
    assert "soundness" not in reason


def test_the_reasons_tell_apart_why_it_is_only_a_challenger() -> None:
    worse, manual = decide(verdict(True, False), automatic=True), decide(verdict(True, True), automatic=False)
    unseen = decide(verdict(True, True), automatic=True, unseen_champion="7")
    assert "champion" in worse.reason
    assert "version 7" in unseen.reason
    assert "person" in manual.reason
