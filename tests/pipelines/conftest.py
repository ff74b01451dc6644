"""The command line, run in the tests' own process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.main import main
from tests.pipelines.commands import Ganvas, Said
from tests.pipelines.own_stack import on_its_own_stack

MAKE_GRAPHS = {"compile", "submit", "schedule", "compare"}


@pytest.fixture
def ganvas(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Ganvas:
    """Runs the command line in this process, in an empty working directory."""
    from pipelines.cli import console

    (tmp_path / "here").mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(console.PEOPLE, "width", 1_000, raising=False)

    def run(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["ganvas", *map(str, arguments)])
        capsys.readouterr()
        code: Any = 0
        try:
            on_its_own_stack(main) if MAKE_GRAPHS & set(arguments) else main()
        except SystemExit as end:
            code = end.code or 0
        caught = capsys.readouterr()
        assert "Traceback" not in caught.err
        return Said(code, caught.out, caught.err)

    return run
