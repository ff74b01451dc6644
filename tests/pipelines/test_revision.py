"""The code's revision: a commit where there is one, and no other repository's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipelines.revision import code_revision


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("one")
    identity = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.invalid"]
    for command in (["init", "--quiet"], ["add", "file"], [*identity, "commit", "--quiet", "-m", "first"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    return tmp_path


def head(clone: Path) -> str:
    return subprocess.run(
        ["git", "-C", str(clone), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_it_is_the_commit_and_says_where_files_were_changed(clone: Path) -> None:
    assert code_revision(clone) == head(clone)
    (clone / "file").write_text("two")
    assert code_revision(clone) == f"{head(clone)}-dirty"


def test_what_is_installed_within_another_repository_has_none(clone: Path) -> None:
    inner = clone / "site-packages"
    inner.mkdir()
    assert code_revision(inner) == ""


def test_what_the_environment_says_comes_first(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANVAS_CODE_REVISION", "abc")
    assert code_revision(clone) == "abc"


def test_without_git_it_is_unknown(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert code_revision(clone) == ""


def test_the_pipeline_image_is_told_by_its_build() -> None:
    dockerfile = (Path(__file__).resolve().parent.parent.parent / "Dockerfile").read_text()
    stage = dockerfile.split("FROM base AS pipeline\n")[1].split("\nFROM ")[0]
    assert "ARG CODE_REVISION" in stage
    assert "ENV GANVAS_CODE_REVISION=$CODE_REVISION" in stage
