"""The laws of what goes: nothing that must stay, never more by a milder rule, nothing twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ConfigurationError
from pipelines.housekeeping.plan import Item, Plan, Rule, age, largest_first, plan

LAW = settings(max_examples=150, deadline=None, database=None, derandomize=True)
NOW = datetime(2026, 5, 1, tzinfo=UTC)
HOURS = st.integers(0, 24 * 90)


@st.composite
def collections(draw: st.DrawFn) -> list[Item]:
    count = draw(st.integers(0, 12))
    return [
        Item(
            kind=draw(st.sampled_from(["run", "cache"])),
            group=draw(st.sampled_from(["digits-gan", "ring-gan"])),
            name=f"{number}",
            modified=NOW - timedelta(hours=draw(HOURS)),
            size_bytes=draw(st.none() | st.integers(0, 10)),
            protected=draw(st.sampled_from(["", "", "going on"])),
            counted=draw(st.booleans()),
        )
        for number in range(count)
    ]


RULES = st.builds(Rule, keep=st.integers(0, 5), older_than=HOURS.map(lambda hours: timedelta(hours=hours)))


def staying(made: Plan) -> list[Item]:
    return [kept.item for kept in made.staying]


@LAW
@given(collections(), RULES)
def test_everything_goes_or_stays_with_a_reason(items: list[Item], rule: Rule) -> None:
    made = plan(items, rule, NOW)
    key = lambda item: (item.kind, item.name)  # noqa: E731
    assert sorted([*made.going, *staying(made)], key=key) == sorted(items, key=key)
    assert all(kept.reason for kept in made.staying)
    assert list(made.going) == largest_first(made.going)


@LAW
@given(collections(), RULES)
def test_what_must_stay_is_young_or_new_stays(items: list[Item], rule: Rule) -> None:
    made = plan(items, rule, NOW)
    for item in made.going:
        assert not item.protected
        assert NOW - item.modified >= rule.older_than
        newer = [
            other
            for other in items
            if (other.kind, other.group) == (item.kind, item.group) and other.modified >= item.modified
        ]
        assert not item.counted or len(newer) > rule.keep


@LAW
@given(collections(), RULES)
def test_a_second_time_nothing_goes(items: list[Item], rule: Rule) -> None:
    assert plan(staying(plan(items, rule, NOW)), rule, NOW).going == ()


@LAW
@given(collections(), RULES, st.integers(0, 3), HOURS)
def test_a_milder_rule_removes_no_more(items: list[Item], rule: Rule, more: int, hours: int) -> None:
    milder = Rule(rule.keep + more, rule.older_than + timedelta(hours=hours))
    assert set(plan(items, milder, NOW).going) <= set(plan(items, rule, NOW).going)


@LAW
@given(collections(), RULES)
def test_the_order_in_which_things_are_found_is_nothing_to_it(items: list[Item], rule: Rule) -> None:
    assert plan(items, rule, NOW).going == plan(items[::-1], rule, NOW).going


def test_without_count_and_age_all_goes_that_may() -> None:
    old, held = (Item("run", "r", name, NOW, 1, protected) for name, protected in (("a", ""), ("b", "going on")))
    assert plan([old, held], Rule(0, timedelta()), NOW).going == (old,)


@pytest.mark.parametrize(("text", "hours"), [("12h", 12), ("30d", 720), ("2w", 336), ("0d", 0)])
def test_an_age(text: str, hours: int) -> None:
    assert age(text) == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["30", "d", "-1d", "1 d", "1y", ""])
def test_no_age_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--older-than"):
        age(text)
