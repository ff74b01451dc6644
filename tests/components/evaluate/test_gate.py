"""The gate as a pure function: every limit can fail, and nothing passes for want of a number."""

from __future__ import annotations

import math
from typing import Any

import pytest

from components.evaluate.documents import Check, Metric, Metrics, Verdict
from components.evaluate.gate import judge
from components.evaluate.settings import MEASURING, GateSettings

LIMITS = GateSettings(
    minimum_rows_per_feature=8.0,
    minimum_extractor_accuracy=0.9,
    frechet_floor_multiple=6.0,
    smallest_mode_share=0.03,
    relative_mode_share=0.5,
    mode_kl_samples_to_data_nats=0.05,
    mode_kl_data_to_samples_nats=0.06,
    kernel_distance=0.02,
    precision=0.7,
    recall=0.4,
    density=0.8,
    coverage=0.6,
    memorized_share=0.02,
    duplicate_share=0.01,
    sharpness_ratio=0.75,
    high_quality_share=0.8,
    reconstruction_mean_squared_error=0.02,
    negative_log_likelihood=100.0,
    aggregate_posterior_kl=5.0,
    active_units=8,
)
"""Every limit that there is."""
# metric: (a value that just passes, one that just fails)
EDGES = {
    "extractor_accuracy": (0.9, 0.8999),
    "smallest_mode_share": (0.03, 0.0299),
    "relative_mode_share": (0.5, 0.4999),
    "mode_kl_samples_to_data": (0.05, 0.0501),
    "mode_kl_data_to_samples": (0.06, 0.0601),
    "precision": (0.7, 0.6999),
    "recall": (0.4, 0.3999),
    "density": (0.8, 0.7999),
    "coverage": (0.6, 0.5999),
    "memorized_share": (0.02, 0.0201),
    "duplicate_share": (0.01, 0.0101),
    "sharpness_ratio": (0.75, 0.7499),
    "high_quality_share": (0.8, 0.7999),
    "reconstruction_mean_squared_error": (0.02, 0.0201),
    "aggregate_posterior_kl": (5.0, 5.001),
    "active_units": (8.0, 7.0),
}
# the same of the upper end of the interval
UPPER_EDGES = {
    "frechet_distance": (6.0 * 0.1, 0.601),  # six floors
    "kernel_distance": (0.02, 0.0201),
    "negative_log_likelihood": (100.0, 100.1),
}
ASKED = [*EDGES, *UPPER_EDGES]
GOOD = {
    "unsound_sample_share": Metric(value=0.0, count=100),
    "held_out_rows_per_feature": Metric(value=46.0, count=1_500),
    "frechet_distance": Metric(value=0.4, interval=(0.3, 0.5), count=100),
    "kernel_distance": Metric(value=0.01, interval=(0.005, 0.015), count=100),
    "negative_log_likelihood": Metric(value=95.0, interval=(94.0, 96.0), count=100),
    **{name: Metric(value=at, count=100) for name, (at, _) in EDGES.items()},
    "reconstruction_mean_squared_error": Metric(value=0.01, count=100),
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


def check_of(verdict: Verdict, name: str) -> Check:
    (check,) = (check for check in verdict.checks if check.name == name)
    return check


def failed(verdict: Verdict) -> dict[str, str]:
    return {check.name: check.reason for check in verdict.checks if not check.passed}


def test_a_model_that_keeps_every_limit_passes() -> None:
    verdict = judged()
    assert verdict.passed
    assert failed(verdict) == {}
    assert {check.name for check in verdict.checks} == {"finite_and_in_range", *ASKED}
    assert verdict.limits_source == "test"


def test_every_limit_that_there_is_is_asked_here() -> None:
    limits = set(GateSettings.model_fields) - MEASURING - {"minimum_rows_per_feature", "non_inferiority_margin"}
    assert {name for name in limits if getattr(LIMITS, name) is None} == set()
    assert len(ASKED) == len(limits)


@pytest.mark.parametrize("name", EDGES)
def test_each_limit_holds_at_its_edge_and_fails_beyond_it(name: str) -> None:
    at, beyond = EDGES[name]
    assert judged({name: Metric(value=at, count=100)}).passed
    verdict = judged({name: Metric(value=beyond, count=100)})
    assert not verdict.passed
    assert failed(verdict).keys() == {name}


@pytest.mark.parametrize("name", UPPER_EDGES)
def test_an_estimate_is_held_by_the_upper_end_of_its_interval(name: str) -> None:
    good, (at, beyond) = GOOD[name], UPPER_EDGES[name]
    assert judged({name: good.model_copy(update={"interval": (at, at)})}).passed
    verdict = judged({name: good.model_copy(update={"interval": (at, beyond)})})
    assert failed(verdict).keys() == {name}
    assert check_of(verdict, name).limit == pytest.approx(at)


def test_a_broken_interval_is_no_reason_to_write_no_verdict() -> None:
    own = GOOD["frechet_distance"].model_copy(update={"interval": (0.3, math.nan)})
    measured = metrics(champion_version="3", champion={"frechet_distance": Metric(value=9.0, count=9)}).model_copy(
        update={"metrics": {**GOOD, "frechet_distance": own}}
    )
    assert check_of(judge(measured, LIMITS, limits_source=""), "non_inferior_to_champion").interval is None


def test_a_check_states_what_was_compared() -> None:
    champion = {"frechet_distance": Metric(value=0.3, count=9)}
    verdict = judged(champion_version="3", champion=champion)
    check = check_of(verdict, "frechet_distance")
    assert (check.value, check.interval, check.champion) == (0.4, (0.3, 0.5), 0.3)
    assert check.limit == pytest.approx(0.6)
    assert check.reason == "upper end of its interval: 0.5 is at most 0.6"
    other = check_of(verdict, "recall")
    assert (other.value, other.interval, other.limit, other.champion) == (0.4, None, 0.4, None)
    assert other.reason == "data within the samples: 0.4 is at least 0.4"
    missing = check_of(judged({"recall": None}), "recall")
    assert (missing.value, missing.interval, missing.limit) == (None, None, 0.4)


@pytest.mark.parametrize("name", ASKED)
def test_a_missing_metric_fails(name: str) -> None:
    verdict = judged({name: None})
    assert not verdict.passed
    assert "not measured" in failed(verdict)[name]


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_no_finite_number_fails(name: str, value: float | None) -> None:
    broken = GOOD[name].model_copy(update={"value": value})  # model_copy does not validate: as bad as it can come
    verdict = judged({name: broken})
    assert not verdict.passed
    assert "finite" in failed(verdict)[name]
    assert check_of(verdict, name).value is None


@pytest.mark.parametrize("name", UPPER_EDGES)
@pytest.mark.parametrize("interval", [None, (0.0, math.nan), (0.0, math.inf), (0.0, -math.inf), (math.nan, 0.01)])
def test_an_estimate_without_a_finite_upper_end_fails(name: str, interval: tuple[float, float] | None) -> None:
    broken = GOOD[name].model_copy(update={"interval": interval})
    answer = judge(metrics().model_copy(update={"metrics": {**GOOD, name: broken}}), LIMITS, limits_source="")
    sound = interval is not None and math.isfinite(interval[1])
    assert failed(answer) == ({} if sound else {name: f"{name} is not a finite number"})
    assert check_of(answer, name).interval is None


@pytest.mark.parametrize("floor", [None, float("nan"), float("inf")])
def test_without_a_floor_the_distance_fails(floor: float | None) -> None:
    broken = metrics().model_copy(
        update={"frechet_floor": Metric(value=0.1, count=1).model_copy(update={"value": floor})}
    )
    verdict = judge(broken, LIMITS, limits_source="")
    assert not verdict.passed
    assert "floor" in failed(verdict)["frechet_distance"]
    assert check_of(verdict, "frechet_distance").limit is None


@pytest.mark.parametrize(
    ("rows", "shown"),
    [(Metric(value=7.9, count=10), "7.9"), (Metric(value=None, count=10), "0.0"), (None, "0.0")],
)
def test_too_few_rows_a_feature_fail_the_frechet_distance_alone(rows: Metric | None, shown: str) -> None:
    reasons = failed(judged({"held_out_rows_per_feature": rows}))
    assert reasons.keys() == {"frechet_distance"}
    assert reasons["frechet_distance"].startswith(f"only {shown} held-out rows per feature, 8 are needed")
    assert judged({"held_out_rows_per_feature": Metric(value=8.0, count=10)}).passed


@pytest.mark.parametrize(
    ("share", "reason"),
    [
        (Metric(value=1e-4, count=10), "0.01% of the outputs are not finite or out of range"),
        (Metric(value=1.0, count=10), "100.00% of the outputs are not finite or out of range"),
        (Metric(value=None, count=10), "was not measured"),
        (None, "was not measured"),
    ],
)
def test_unsound_samples_fail_whatever_the_limits(share: Metric | None, reason: str) -> None:
    verdict = judged({"unsound_sample_share": share}, limits=GateSettings())
    assert not verdict.passed
    assert failed(verdict) == {"finite_and_in_range": reason}
    check = check_of(verdict, "finite_and_in_range")
    assert (check.value, check.limit) == (None if share is None else share.value, 0.0)


def test_a_limit_that_is_none_is_not_asked() -> None:
    verdict = judged(dict.fromkeys(ASKED), limits=GateSettings())
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
    check = check_of(verdict, "non_inferior_to_champion")
    assert check.passed is non_inferior
    assert check.champion == champions
    assert (check.value, check.interval) == (0.4, (0.3, 0.5))
    assert check.limit == pytest.approx(1.1 * champions)
    assert "version 3" in check.reason


def test_the_margin_itself_is_allowed() -> None:
    champion = {"frechet_distance": Metric(value=0.2, count=9)}
    limits = GateSettings(non_inferiority_margin=1.0)  # twice 0.2 is 0.4 in binary too
    assert judged(limits=limits, champion_version="3", champion=champion).non_inferior


def test_without_a_floor_the_champions_own_distance_is_the_measure() -> None:
    floor = Metric(value=None, count=1)
    verdict = judged(
        frechet_floor=floor, champion_version="3", champion={"frechet_distance": Metric(value=0.2, count=9)}
    )
    assert not verdict.non_inferior


def test_below_the_floor_no_champion_is_better() -> None:
    changes = {"frechet_distance": Metric(value=0.1, interval=(0.05, 0.2), count=9)}
    verdict = judged(changes, champion_version="3", champion={"frechet_distance": Metric(value=0.001, count=9)})
    assert verdict.non_inferior


@pytest.mark.parametrize("own", [None, Metric(value=None, count=1)])
def test_a_number_that_is_missing_is_worse_than_any_champion(own: Metric | None) -> None:
    champion = {"frechet_distance": Metric(value=9.0, count=9)}
    verdict = judged({"frechet_distance": own}, GateSettings(), champion_version="3", champion=champion)
    assert not verdict.non_inferior
    assert "missing" in failed(verdict)["non_inferior_to_champion"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_worse_than_any_champion(value: float) -> None:
    own = GOOD["frechet_distance"].model_copy(update={"value": value})
    champion = {"frechet_distance": Metric(value=9.0, count=9)}
    measured = metrics(champion_version="3", champion=champion).model_copy(
        update={"metrics": {**GOOD, "frechet_distance": own}}
    )
    verdict = judge(measured, GateSettings(), limits_source="")
    assert not verdict.non_inferior
    assert "missing" in failed(verdict)["non_inferior_to_champion"]


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
    unmeasured, better = Metric(value=None, count=9), Metric(value=0.001, count=9)
    for version, champion in (("3", None), ("3", unmeasured), (None, better)):
        champions = {} if champion is None else {"frechet_distance": champion}
        verdict = judged(champion_version=version, champion=champions)
        assert verdict.non_inferior
        assert "non_inferior_to_champion" not in {check.name for check in verdict.checks}


def test_limits_of_older_recipes_are_read_by_their_old_names() -> None:
    old = GateSettings.model_validate({"mode_kl_nats": 0.1, "mode_kl_reverse_nats": 0.2, "bootstrap_replicates": 5})
    assert (old.mode_kl_samples_to_data_nats, old.mode_kl_data_to_samples_nats) == (0.1, 0.2)
