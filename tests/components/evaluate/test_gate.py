"""The gate as a pure function: every limit can fail, and nothing passes for want of a number."""

from __future__ import annotations

from typing import Any

import pytest

from components.evaluate.documents import Metric, Metrics, Verdict
from components.evaluate.gate import judge
from components.evaluate.settings import GateSettings

LIMITS = GateSettings(
    minimum_rows_per_feature=8.0,
    minimum_extractor_accuracy=0.9,
    frechet_floor_multiple=6.0,
    smallest_mode_share=0.03,
    mode_kl_samples_to_data_nats=0.05,
    high_quality_share=0.8,
    reconstruction_mean_squared_error=0.02,
    active_units=8,
)
GOOD = {
    "unsound_sample_share": Metric(value=0.0, count=100),
    "held_out_rows_per_feature": Metric(value=46.0, count=1_500),
    "extractor_accuracy": Metric(value=0.95, count=750),
    "frechet_distance": Metric(value=0.4, interval=(0.3, 0.5), count=100),
    "smallest_mode_share": Metric(value=0.08, count=100),
    "mode_kl_samples_to_data": Metric(value=0.01, count=100),
    "high_quality_share": Metric(value=0.9, count=100),
    "reconstruction_mean_squared_error": Metric(value=0.01, count=100),
    "active_units": Metric(value=10.0, count=100),
}
# metric: (a value that just passes, one that just fails)
EDGES = {
    "extractor_accuracy": (0.9, 0.8999),
    "smallest_mode_share": (0.03, 0.0299),
    "mode_kl_samples_to_data": (0.05, 0.0501),
    "high_quality_share": (0.8, 0.7999),
    "reconstruction_mean_squared_error": (0.02, 0.0201),
    "active_units": (8.0, 7.0),
}


def metrics(changes: dict[str, Metric | None] | None = None, **fields: Any) -> Metrics:
    merged = {**GOOD, **(changes or {})}
    return Metrics(
        **{
            "family": "gan",
            "dataset_name": "digits",
            "dataset_fingerprint": "f",
            "extractor_sha256": "e",
            "sampler_sha256": "s",
            "frechet_floor": Metric(value=0.1, count=700),
            "metrics": {name: metric for name, metric in merged.items() if metric is not None},
            "samples_sha256": "p",
            "mode_names": [],
            "mode_shares": [],
            "real_mode_shares": [],
            **fields,
        }
    )


def judged(changes: dict[str, Metric | None] | None = None, limits: GateSettings = LIMITS, **fields: Any) -> Verdict:
    return judge(metrics(changes, **fields), limits, limits_source="test")


def failed(verdict: Verdict) -> dict[str, str]:
    return {check.name: check.reason for check in verdict.checks if not check.passed}


def test_a_model_that_keeps_every_limit_passes() -> None:
    verdict = judged()
    assert verdict.passed
    assert failed(verdict) == {}
    assert {check.name for check in verdict.checks} == {"finite_and_in_range", "frechet_distance", *EDGES}
    assert verdict.limits_source == "test"


@pytest.mark.parametrize("name", EDGES)
def test_each_limit_holds_at_its_edge_and_fails_beyond_it(name: str) -> None:
    at, beyond = EDGES[name]
    assert judged({name: Metric(value=at, count=100)}).passed
    verdict = judged({name: Metric(value=beyond, count=100)})
    assert not verdict.passed
    assert failed(verdict).keys() == {name}


def test_the_frechet_distance_is_held_by_the_upper_end_of_its_interval() -> None:
    assert judged({"frechet_distance": Metric(value=0.5, interval=(0.4, 0.6), count=9)}).passed
    verdict = judged({"frechet_distance": Metric(value=0.5, interval=(0.4, 0.601), count=9)})
    assert failed(verdict).keys() == {"frechet_distance"}
    (check,) = (check for check in verdict.checks if check.name == "frechet_distance")
    assert check.limit == pytest.approx(0.6)  # six floors


@pytest.mark.parametrize("name", [*EDGES, "frechet_distance"])
def test_a_missing_metric_fails(name: str) -> None:
    verdict = judged({name: None})
    assert not verdict.passed
    assert "not measured" in failed(verdict)[name]


@pytest.mark.parametrize("name", [*EDGES, "frechet_distance"])
@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_no_finite_number_fails(name: str, value: float | None) -> None:
    broken = GOOD[name].model_copy(update={"value": value})  # model_copy does not validate: as bad as it can come
    verdict = judged({name: broken})
    assert not verdict.passed
    assert "finite" in failed(verdict)[name]
    (check,) = (check for check in verdict.checks if check.name == name)
    assert check.value is None


@pytest.mark.parametrize("interval", [None, (0.0, float("nan")), (0.0, float("inf"))])
def test_a_distance_without_a_finite_interval_fails(interval: tuple[float, float] | None) -> None:
    broken = GOOD["frechet_distance"].model_copy(update={"interval": interval})
    limits = GateSettings(frechet_floor_multiple=6.0)
    answer = judge(
        metrics().model_copy(update={"metrics": {**GOOD, "frechet_distance": broken}}), limits, limits_source=""
    )
    assert not answer.passed


@pytest.mark.parametrize("floor", [None, float("nan"), float("inf")])
def test_without_a_floor_the_distance_fails(floor: float | None) -> None:
    broken = metrics().model_copy(
        update={"frechet_floor": Metric(value=0.1, count=1).model_copy(update={"value": floor})}
    )
    verdict = judge(broken, LIMITS, limits_source="")
    assert not verdict.passed
    assert "floor" in failed(verdict)["frechet_distance"]


@pytest.mark.parametrize("rows", [Metric(value=7.9, count=10), Metric(value=None, count=10), None])
def test_too_few_rows_a_feature_fail_the_distance(rows: Metric | None) -> None:
    assert "rows per feature" in failed(judged({"held_out_rows_per_feature": rows}))["frechet_distance"]


@pytest.mark.parametrize("share", [Metric(value=1e-4, count=10), Metric(value=None, count=10), None])
def test_unsound_samples_fail_whatever_the_limits(share: Metric | None) -> None:
    verdict = judged({"unsound_sample_share": share}, limits=GateSettings())
    assert not verdict.passed
    assert failed(verdict).keys() == {"finite_and_in_range"}


def test_a_limit_that_is_none_is_not_asked() -> None:
    verdict = judged(dict.fromkeys([*EDGES, "frechet_distance"]), limits=GateSettings())
    assert verdict.passed
    assert [check.name for check in verdict.checks] == ["finite_and_in_range"]


@pytest.mark.parametrize(
    ("champions", "non_inferior"),
    [(0.8, True), (0.4, True), (0.364, True), (0.36, False), (0.2, False)],  # own 0.4, margin 10 %
)
def test_the_champion_may_be_missed_by_the_margin_only(champions: float, non_inferior: bool) -> None:
    verdict = judged(champion_version="3", champion={"frechet_distance": Metric(value=champions, count=9)})
    assert verdict.non_inferior is non_inferior
    assert verdict.passed  # being worse than the champion is no failure of the absolute checks
    (check,) = (check for check in verdict.checks if check.name == "non_inferior_to_champion")
    assert check.passed is non_inferior
    assert check.champion == champions
    assert "version 3" in check.reason


def test_below_the_floor_no_champion_is_better() -> None:
    changes = {"frechet_distance": Metric(value=0.1, interval=(0.05, 0.2), count=9)}
    verdict = judged(changes, champion_version="3", champion={"frechet_distance": Metric(value=0.001, count=9)})
    assert verdict.non_inferior


@pytest.mark.parametrize("own", [None, Metric(value=None, count=1)])
def test_a_number_that_is_missing_is_worse_than_any_champion(own: Metric | None) -> None:
    champion = {"frechet_distance": Metric(value=9.0, count=9)}
    verdict = judged({"frechet_distance": own}, GateSettings(), champion_version="3", champion=champion)
    assert not verdict.non_inferior


def test_an_autoencoder_is_compared_by_its_reconstructions() -> None:
    champion = {
        "frechet_distance": Metric(value=1e-6, count=9),
        "reconstruction_mean_squared_error": Metric(value=0.01, count=9),
    }
    floor = Metric(value=0.0, count=9)
    verdict = judged(family="ae", champion_version="3", champion=champion, frechet_floor=floor, limits=GateSettings())
    assert verdict.non_inferior
    worse = {**champion, "reconstruction_mean_squared_error": Metric(value=0.005, count=9)}
    assert not judged(
        family="ae", champion_version="3", champion=worse, frechet_floor=floor, limits=GateSettings()
    ).non_inferior


def test_an_autoencoders_margin_has_nothing_to_do_with_the_distances_floor() -> None:
    champion = {"reconstruction_mean_squared_error": Metric(value=0.005, count=9)}
    verdict = judged(family="ae", champion_version="3", champion=champion, limits=GateSettings())  # floor 0.1
    assert not verdict.non_inferior


def test_without_a_champion_there_is_nothing_to_be_worse_than() -> None:
    assert judged().non_inferior
    assert judged(champion_version="3", champion={}).non_inferior


def test_limits_of_older_recipes_are_read_by_their_old_names() -> None:
    old = GateSettings.model_validate({"mode_kl_nats": 0.1, "mode_kl_reverse_nats": 0.2, "bootstrap_replicates": 5})
    assert (old.mode_kl_samples_to_data_nats, old.mode_kl_data_to_samples_nats) == (0.1, 0.2)
