"""The gate: limits and measurements in, a verdict with reasons out. A pure function."""

from __future__ import annotations

import math
from dataclasses import dataclass

from components.evaluate.documents import Check, Metrics, Verdict
from components.evaluate.settings import GateSettings


@dataclass(frozen=True)
class _Question:
    """One limit: the metric that it speaks of, and which side of it is good."""

    metric: str
    limit: float | None
    at_least: bool
    explanation: str
    by_interval: bool = False


def judge(metrics: Metrics, limits: GateSettings, *, limits_source: str) -> Verdict:
    """Ask every question that the limits contain.

    A missing, non-finite or too uncertain number fails its check with the reason; nothing is ever skipped
    because it could not be computed.

    Args:
        metrics: what was measured; numbers that could not be computed are None.
        limits: the recipe's; None asks nothing.
        limits_source: where they come from, for the reader.
    """
    checks = [_answer(question, metrics, limits) for question in _questions(metrics, limits)]
    checks = [_samples_are_sound(metrics), *checks]
    non_inferior, note = _compare_with_champion(metrics, limits)
    if note is not None:
        checks.append(note)
    absolute = [check for check in checks if check.name != "non_inferior_to_champion"]
    return Verdict(
        passed=all(check.passed for check in absolute),
        checks=checks,
        non_inferior=non_inferior,
        limits_source=limits_source,
    )


def _questions(metrics: Metrics, limits: GateSettings) -> list[_Question]:
    frechet_limit = None
    if limits.frechet_floor_multiple is not None:
        floor = metrics.frechet_floor.value
        frechet_limit = limits.frechet_floor_multiple * floor if floor is not None else math.nan
    asked = [
        _Question("extractor_accuracy", limits.minimum_extractor_accuracy, True, "the judge's own held-out accuracy"),
        _Question("frechet_distance", frechet_limit, False, "upper end of its interval", by_interval=True),
        _Question("smallest_mode_share", limits.smallest_mode_share, True, "share of the weakest mode"),
        _Question("relative_mode_share", limits.relative_mode_share, True, "weakest mode, of its share of the data"),
        _Question(
            "mode_kl_samples_to_data",
            limits.mode_kl_samples_to_data_nats,
            False,
            "KL of the modes against the data's, less its floor",
        ),
        _Question(
            "mode_kl_data_to_samples",
            limits.mode_kl_data_to_samples_nats,
            False,
            "KL of the data's modes against the samples'",
        ),
        _Question("kernel_distance", limits.kernel_distance, False, "upper end of its interval", by_interval=True),
        _Question("precision", limits.precision, True, "samples within the data"),
        _Question("recall", limits.recall, True, "data within the samples"),
        _Question("density", limits.density, True, "how densely data surrounds the samples"),
        _Question("coverage", limits.coverage, True, "data with a sample beside it"),
        _Question("memorized_share", limits.memorized_share, False, "samples next to a training row"),
        _Question("duplicate_share", limits.duplicate_share, False, "samples with a twin among the samples"),
        _Question("sharpness_ratio", limits.sharpness_ratio, True, "sharpness, of the data's"),
        _Question("high_quality_share", limits.high_quality_share, True, "samples within 3 sigma of a mode"),
        _Question(
            "reconstruction_mean_squared_error",
            limits.reconstruction_mean_squared_error,
            False,
            "held-out reconstruction error",
        ),
        _Question(
            "negative_log_likelihood",
            limits.negative_log_likelihood,
            False,
            "upper end of its interval",
            by_interval=True,
        ),
        _Question("aggregate_posterior_kl", limits.aggregate_posterior_kl, False, "encoded data against the prior"),
        _Question(
            "active_units",
            None if limits.active_units is None else float(limits.active_units),
            True,
            "latent dimensions in use",
        ),
    ]
    return [question for question in asked if question.limit is not None]


def _answer(question: _Question, metrics: Metrics, limits: GateSettings) -> Check:
    metric = metrics.metrics.get(question.metric)
    value = None if metric is None else metric.value
    compared = value
    if metric is not None and question.by_interval:
        compared = None if metric.interval is None else metric.interval[1]
    limit = question.limit
    champion = metrics.champion.get(question.metric)
    if metric is None:
        passed, reason = False, f"{question.metric} was not measured"
    elif value is None or compared is None or not (math.isfinite(value) and math.isfinite(compared)):
        passed, reason = False, f"{question.metric} is not a finite number"
    elif limit is None or not math.isfinite(limit):
        passed, reason = False, "the limit could not be computed: there is no real-vs-real floor"
    elif question.metric == "frechet_distance" and _rows_per_feature(metrics) < limits.minimum_rows_per_feature:
        passed = False
        reason = (
            f"only {_rows_per_feature(metrics):.1f} held-out rows per feature, "
            f"{limits.minimum_rows_per_feature:g} are needed for a Fréchet distance to mean anything"
        )
    else:
        passed = compared >= limit if question.at_least else compared <= limit
        relation = (
            ("at least" if question.at_least else "at most") if passed else ("below" if question.at_least else "above")
        )
        reason = f"{question.explanation}: {compared:.4g} is {relation} {limit:.4g}"
    return Check(
        name=question.metric,
        value=_finite(value),
        interval=None if metric is None else _finite_interval(metric.interval),
        limit=_finite(limit),
        champion=None if champion is None else champion.value,
        passed=passed,
        reason=reason,
    )


def _finite(value: float | None) -> float | None:
    """What a document may hold of a number."""
    return value if value is not None and math.isfinite(value) else None


def _finite_interval(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return interval if interval is not None and all(map(math.isfinite, interval)) else None


def _rows_per_feature(metrics: Metrics) -> float:
    rows = metrics.metrics.get("held_out_rows_per_feature")
    return 0.0 if rows is None or rows.value is None else rows.value


def _samples_are_sound(metrics: Metrics) -> Check:
    metric = metrics.metrics.get("unsound_sample_share")
    value = None if metric is None else metric.value
    passed = value == 0.0
    return Check(
        name="finite_and_in_range",
        value=value,
        interval=None,
        limit=0.0,
        champion=None,
        passed=passed,
        reason="every output is finite and in range"
        if passed
        else ("was not measured" if value is None else f"{value:.2%} of the outputs are not finite or out of range"),
    )


def _compare_with_champion(metrics: Metrics, limits: GateSettings) -> tuple[bool, Check | None]:
    """Whether the model may replace the champion, and the check that says so (none where there is no champion)."""
    name = "reconstruction_mean_squared_error" if metrics.family == "ae" else "frechet_distance"
    champion, own = metrics.champion.get(name), metrics.metrics.get(name)
    if metrics.champion_version is None or champion is None or champion.value is None:
        return True, None
    # Below the floor two distances differ by chance alone; it is no unit of reconstruction errors.
    floor = (metrics.frechet_floor.value or 0.0) if name == "frechet_distance" else 0.0
    limit = (1.0 + limits.non_inferiority_margin) * max(champion.value, floor)
    value = None if own is None else _finite(own.value)
    passed = value is not None and value <= limit
    shown = "missing" if value is None else f"{value:.4g}"
    return passed, Check(
        name="non_inferior_to_champion",
        value=value,
        interval=None if own is None else _finite_interval(own.interval),
        limit=limit,
        champion=champion.value,
        passed=passed,
        reason=f"{name} {shown} against {champion.value:.4g} of version {metrics.champion_version}, "
        f"with a margin of {limits.non_inferiority_margin:.0%}",
    )
