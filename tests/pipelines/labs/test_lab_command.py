"""``ganvas lab``: the list, one demonstration, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.labs.registry import NAMES, SUMMARIES, lab_name
from tests.pipelines.commands import Ganvas


def test_without_a_name_all_are_listed(ganvas: Ganvas) -> None:
    code, out, _ = ganvas("lab", "--json")
    assert code == 0
    assert [entry["name"] for entry in json.loads(out)] == list(NAMES) == list(SUMMARIES)
    assert "kl-direction" in ganvas("lab")[1]


def test_a_demonstration_leaves_its_numbers_and_one_picture(ganvas: Ganvas, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, _, err = ganvas("lab", "saturation", "--out", out, "--seed", 3)
    assert code == 0
    assert "Confirmed" in err and "expected" in err
    assert sorted(path.name for path in out.iterdir()) == ["numbers.json", "picture.png"]
    numbers = json.loads((out / "numbers.json").read_text())
    assert (numbers["name"], numbers["seed"], numbers["confirmed"]) == ("saturation", 3, True)
    code, again, err = ganvas("lab", "saturation", "--out", out)
    assert (code, again) == (1, "")
    assert "already holds a finished numbers.json" in err


def test_the_printed_document_is_the_one_that_was_written(ganvas: Ganvas) -> None:
    code, out, _ = ganvas("lab", "saturation", "--json")
    assert code == 0
    printed = json.loads(out)
    directory = Path(printed.pop("directory"))
    assert directory.parent == Path("runs") and directory.name.startswith("lab-saturation-")
    assert printed.pop("seconds") >= 0.0
    assert printed == json.loads((directory / "numbers.json").read_text())


def test_an_unknown_name_is_wrong_use_and_names_the_nearest(ganvas: Ganvas) -> None:
    code, out, err = ganvas("lab", "saturatoin")
    assert (code, out) == (2, "")
    (line,) = (line for line in err.splitlines() if line.startswith("error:"))
    assert "saturatoin" in line and "Did you mean saturation?" in line
    assert list(Path.cwd().iterdir()) == []


def test_an_output_that_cannot_be_written_is_refused_before_anything_runs(ganvas: Ganvas, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, out, err = ganvas("lab", "saturation", "--out", tmp_path / "file" / "below")
    assert (code, out) == (1, "")
    assert "Cannot write to" in err and "--out" in err


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_known(name: str) -> None:
    assert lab_name(name) == name
