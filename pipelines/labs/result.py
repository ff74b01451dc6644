"""What a demonstration finds: numbers beside what was expected of them, and what they say about the claim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import computed_field

from components.artifacts import Document
from models.config import Settings

DOCUMENT_NAME = "numbers.json"
PICTURE_NAME = "picture.png"
SHOWN_ROWS = 4
"""Rows that do not hold which a sentence names."""

Relation = Literal["about", "at most", "at least", "for comparison"]


class Quantity(Settings):
    """One measured number, and what the claim expects of it."""

    name: str
    measured: float
    relation: Relation = "for comparison"
    expected: float | None = None
    tolerance: float = 0.0
    """How far from ``expected`` still holds; absolute."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def holds(self) -> bool | None:
        """Whether the measured number is as expected; None where nothing was expected."""
        if self.expected is None:
            return None
        match self.relation:
            case "about":
                return abs(self.measured - self.expected) <= self.tolerance
            case "at most":
                return self.measured <= self.expected + self.tolerance
            case "at least":
                return self.measured >= self.expected - self.tolerance
            case "for comparison":
                return None

    @property
    def expectation(self) -> str:
        """What was expected of the number, in words; – where nothing was."""
        if self.expected is None:
            return "–"
        within = f" ± {self.tolerance:.2g}" if self.tolerance else ""
        relation = "" if self.relation == "about" else f"{self.relation} "
        return f"{relation}{self.expected:.4g}{within}"


def about(name: str, measured: float, expected: float, tolerance: float) -> Quantity:
    """A number that a closed form gives."""
    return Quantity(name=name, measured=measured, relation="about", expected=expected, tolerance=tolerance)


def at_most(name: str, measured: float, expected: float, tolerance: float = 0.0) -> Quantity:
    """A number that the claim bounds from above."""
    return Quantity(name=name, measured=measured, relation="at most", expected=expected, tolerance=tolerance)


def at_least(name: str, measured: float, expected: float, tolerance: float = 0.0) -> Quantity:
    """A number that the claim bounds from below."""
    return Quantity(name=name, measured=measured, relation="at least", expected=expected, tolerance=tolerance)


def shown(name: str, measured: float) -> Quantity:
    """A number that nothing is expected of."""
    return Quantity(name=name, measured=measured)


class Numbers(Document):
    """``numbers.json``."""

    name: str
    seed: int
    claim: str
    confirmed: bool
    sentence: str
    quantities: tuple[Quantity, ...]


@dataclass(frozen=True)
class Finding:
    """What a demonstration returns: the claim is confirmed when every quantity that expects something holds."""

    claim: str
    """The tutorial's, in one sentence."""
    if_confirmed: str
    """What every row that expects something says together, and nothing that no row does."""
    if_refuted: str
    """True whichever row does not hold: those that do not are named after it."""
    quantities: tuple[Quantity, ...]
    picture: bytes
    """PNG."""

    @property
    def confirmed(self) -> bool:
        return all(quantity.holds is not False for quantity in self.quantities)

    @property
    def sentence(self) -> str:
        return f"Confirmed: {self.if_confirmed}" if self.confirmed else f"Refuted: {self.if_refuted} {self._failed()}"

    def _failed(self) -> str:
        """The rows that do not hold, whichever these are: the sentence alone might describe others."""
        failed = [row for row in self.quantities if row.holds is False]
        rows = [f"{row.name}: {row.measured:.4g}, expected {row.expectation}" for row in failed[:SHOWN_ROWS]]
        more = f"; and {len(failed) - SHOWN_ROWS} more" if len(failed) > SHOWN_ROWS else ""
        return f"({'; '.join(rows)}{more}.)"

    def numbers(self, name: str, seed: int) -> Numbers:
        """The document of a demonstration's name and seed."""
        return Numbers(
            name=name,
            seed=seed,
            claim=self.claim,
            confirmed=self.confirmed,
            sentence=self.sentence,
            quantities=self.quantities,
        )
