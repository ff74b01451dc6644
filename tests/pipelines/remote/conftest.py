"""A graph is compiled once for all these tests: it takes seconds, and is the same each time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipelines.remote import uploads


@pytest.fixture(scope="session")
def compiled_once() -> Callable[..., Any]:
    """The real function, asked once for the same."""
    known: dict[tuple[Any, ...], Any] = {}
    compile_anew = uploads.compiled

    def compiled(recipe: Any, image: str, around: Any) -> Any:
        key = recipe.sha256, image, around
        if key not in known:
            known[key] = compile_anew(recipe, image, around)
        return known[key]

    return compiled


@pytest.fixture(autouse=True)
def _graphs_are_kept(monkeypatch: pytest.MonkeyPatch, compiled_once: Callable[..., Any]) -> None:
    monkeypatch.setattr(uploads, "compiled", compiled_once)
