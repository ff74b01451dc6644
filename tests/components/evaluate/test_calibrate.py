"""Proposed limits let real data pass and stop what is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.evaluate.calibrate import calibrate
from components.evaluate.settings import GateSettings
from components.prepare.core import prepare
from components.prepare.settings import DataSettings
from models.errors import ConfigurationError

ExtractorOf = Callable[[Path], Path]
ASKED = GateSettings(minimum_rows_per_feature=1.0, high_quality_share=0.5)


def proposed(dataset: Path, extractor: Path, **changes: Any) -> Any:
    return calibrate(dataset, extractor, ASKED, **{"trials": 5, "slack": 2.0, "seed": 0, **changes})


def test_every_limit_leaves_room_for_what_real_data_got(extractor_of: ExtractorOf, digits: Path) -> None:
    limits, proposals = proposed(digits, extractor_of(digits))
    names = {proposal.limit for proposal in proposals}
    assert {"frechet_floor_multiple", "relative_mode_share", "memorized_share", "coverage"} <= names
    for proposal in proposals:
        assert getattr(limits, proposal.limit) == proposal.proposed
        if proposal.limit in ("relative_mode_share", "precision", "recall", "density", "coverage"):
            assert proposal.proposed < proposal.worst <= proposal.typical
        else:
            assert proposal.proposed > proposal.worst >= proposal.typical
    assert limits.high_quality_share == ASKED.high_quality_share
    assert limits.samples == ASKED.samples


def test_more_slack_is_more_room(extractor_of: ExtractorOf, digits: Path) -> None:
    tight, _ = proposed(digits, extractor_of(digits), slack=1.0)
    loose, _ = proposed(digits, extractor_of(digits), slack=4.0)
    assert tight.frechet_floor_multiple < loose.frechet_floor_multiple
    assert tight.coverage > loose.coverage
    with pytest.raises(ConfigurationError, match="slack"):
        proposed(digits, extractor_of(digits), slack=0.5)


def test_too_few_rows_for_the_features_are_refused(extractor_of: ExtractorOf, digits: Path) -> None:
    with pytest.raises(ConfigurationError, match="too few"):
        calibrate(digits, extractor_of(digits), GateSettings(minimum_rows_per_feature=1e4), trials=5, slack=2.0, seed=0)


def test_the_same_seed_proposes_the_same(extractor_of: ExtractorOf, ring: Path) -> None:
    assert proposed(ring, extractor_of(ring)) == proposed(ring, extractor_of(ring))


def test_the_command_writes_limits_that_evaluate_reads(digits: Path, extractor_of: ExtractorOf, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from pipelines.cli.main import app

    out = tmp_path / "limits.json"
    command = ["gate", "calibrate", "--data", str(digits), "--extractor", str(extractor_of(digits)), "--out", str(out)]
    result = CliRunner().invoke(app, [*command, "--trials", "5"])
    assert result.exit_code == 0, result.output
    assert GateSettings.model_validate_json(out.read_bytes()).frechet_floor_multiple
    assert np.isfinite(GateSettings.model_validate_json(out.read_bytes()).coverage or np.nan)


def test_a_dataset_that_is_not_there_is_one_line(tmp_path: Path, extractor_of: ExtractorOf, digits: Path) -> None:
    prepare(DataSettings(), tmp_path / "data")
    (tmp_path / "data" / "manifest.json").unlink()
    with pytest.raises(Exception, match=r"half-written: it has no manifest\.json"):
        proposed(tmp_path / "data", extractor_of(digits))
