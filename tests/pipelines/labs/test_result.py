"""Quantities hold or not by their relation alone; a claim is confirmed when all that expect something hold."""

from __future__ import annotations

import pytest

from pipelines.labs.result import Finding, Quantity, about, at_least, at_most, shown


@pytest.mark.parametrize(
    ("quantity", "holds"),
    [
        (about("q", 1.05, 1.0, 0.1), True),
        (about("q", 0.85, 1.0, 0.1), False),
        (about("q", 1.0, 1.0, 0.0), True),
        (at_most("q", 1.0, 1.0), True),
        (at_most("q", 1.05, 1.0, 0.1), True),
        (at_most("q", 1.2, 1.0, 0.1), False),
        (at_least("q", 1.0, 1.0), True),
        (at_least("q", 0.95, 1.0, 0.1), True),
        (at_least("q", 0.8, 1.0, 0.1), False),
        (shown("q", 1e9), None),
    ],
)
def test_a_quantity_holds_by_its_relation(quantity: Quantity, holds: bool | None) -> None:
    assert quantity.holds is holds
    assert quantity.model_dump()["holds"] is holds


def finding(*quantities: Quantity) -> Finding:
    return Finding(claim="c", if_confirmed="so it is", if_refuted="it is not", quantities=quantities, picture=b"")


def test_one_quantity_that_does_not_hold_refutes_the_claim() -> None:
    good, bad, free = at_most("good", 0.0, 1.0), at_most("bad", 2.0, 1.0), shown("free", 3.0)
    assert finding(good, free).confirmed
    assert finding(good, free).sentence == "Confirmed: so it is"
    assert not finding(good, bad, free).confirmed
    assert finding(bad).sentence == "Refuted: it is not (bad: 2, expected at most 1.)"


def test_a_refutation_names_the_rows_that_do_not_hold_and_no_others() -> None:
    rows = [at_least(f"row {index}", 0.0 if index % 2 else 1.0, 0.5) for index in range(12)]
    sentence = finding(*rows).sentence
    assert [name for name in range(12) if f"row {name}: 0, expected at least 0.5" in sentence] == [1, 3, 5, 7]
    assert sentence.endswith("; and 2 more.)")


@pytest.mark.parametrize(
    ("quantity", "expectation"),
    [
        (about("q", 1.0, 2.0, 0.5), "2 ± 0.5"),
        (about("q", 1.0, 2.0, 0.0), "2"),
        (at_most("q", 1.0, 2.0), "at most 2"),
        (at_least("q", 1.0, 2.0, 0.25), "at least 2 ± 0.25"),
        (shown("q", 1.0), "–"),
    ],
)
def test_what_was_expected_is_said_in_words(quantity: Quantity, expectation: str) -> None:
    assert quantity.expectation == expectation


def test_the_document_says_what_the_finding_says() -> None:
    found = finding(at_most("bad", 2.0, 1.0))
    numbers = found.numbers("jsd", 3)
    assert (numbers.name, numbers.seed, numbers.confirmed, numbers.sentence) == ("jsd", 3, False, found.sentence)
    assert numbers.quantities == found.quantities
