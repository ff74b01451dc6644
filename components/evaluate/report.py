"""The report as people read it: one self-contained page, and the verdict as a Markdown table."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from components.evaluate.documents import Check, Metric, Metrics, Verdict
from components.figures.charts import Ceiling, Series, bar_chart, line_chart, percent
from components.figures.pictures import data_uri

LOG_2: Final = math.log(2.0)
MISSING: Final = "–"
FRECHET_DISTANCE: Final = "frechet_distance"
"""The metric that is stated as a multiple of ``Metrics.frechet_floor``."""

_MOST_BARS = 25
_HASH = re.compile(r"(sha256:)?[0-9a-f]{24,}")
_FAMILIES = {
    "gan": "generative adversarial network",
    "vae": "variational autoencoder",
    "ae": "autoencoder",
}
_WORDS = {
    FRECHET_DISTANCE: "Fréchet distance to the held-out data",
    "finite_and_in_range": "Every output finite and in range",
    "non_inferior_to_champion": "Not worse than the champion",
    "kernel_distance": "Kernel distance to the held-out data",
    "precision": "Precision: samples that look real",
    "recall": "Recall: real data that samples reach",
    "density": "Density of real data around samples",
    "coverage": "Coverage: real data with a sample nearby",
    "smallest_mode_share": "Share of the weakest mode",
    "mode_kl": "Imbalance of the modes: KL(samples ‖ data), less its floor",
    "mode_kl_reverse": "Imbalance of the modes: KL(data ‖ samples), less its floor",
    "modes_covered": "Modes with a sample",
    "modes_recovered": "Modes with a high-quality sample",
    "high_quality_share": "Samples within 3 sigma of a mode",
    "reconstruction_mean_squared_error": "Held-out reconstruction error per pixel",
    "active_units": "Latent dimensions in use",
    "extractor_accuracy": "Held-out accuracy of the feature extractor",
    "unsound_sample_share": "Outputs not finite or out of range",
    "held_out_rows_per_feature": "Held-out rows per feature",
    "mlflow_run_id": "MLflow run id",
    "jsd": "Jensen-Shannon divergence",
    "jsd_bound": "Jensen-Shannon divergence, lower bound",
}


@dataclass(frozen=True)
class WeakMode:
    """A mode that the samples neglect, with what it should look like."""

    name: str
    share: float
    """Of the samples."""
    real_share: float
    """Of the held-out data."""
    picture_real: bytes
    """PNG."""
    picture_samples: bytes
    """PNG; empty where no sample fell into the mode."""


@dataclass(frozen=True)
class ReportInputs:
    """Everything that the page shows. Pictures are PNG bytes."""

    title: str
    recipe_name: str
    verdict: Verdict
    metrics: Metrics
    sample_picture: bytes
    real_picture: bytes
    weakest_modes: Sequence[WeakMode] = ()
    reconstruction_picture: bytes | None = None
    history: Sequence[Mapping[str, float]] = ()
    """Rows of training, each with ``images_seen`` and any named floats; a row need not have them all."""
    lineage: Mapping[str, str] = field(default_factory=dict)
    settings_json: str = "{}"


@dataclass(frozen=True)
class FloorMultiple:
    """The Fréchet distance in units of the real-vs-real floor; None, with the reason, where it has none."""

    value: float | None
    interval: tuple[float, float] | None
    limit: float | None
    champion: float | None
    reason: str


@dataclass(frozen=True)
class Curve:
    """One chart of the training curves."""

    title: str
    svg: Markup


def render_report(inputs: ReportInputs) -> str:
    """The whole report as one HTML page: no script, no outside address, same inputs, same characters."""
    names, shares, real_shares, modes_note = _shown_modes(inputs.metrics)
    return _template().render(
        report=inputs,
        verdict=inputs.verdict,
        metrics=inputs.metrics,
        family=_FAMILIES[inputs.metrics.family],
        failed=[check for check in inputs.verdict.checks if not check.passed],
        floor_multiple=frechet_in_floors(inputs.metrics, inputs.verdict.checks),
        mode_chart=Markup(bar_chart("Share of each mode", names, {"samples": shares, "held-out data": real_shares}))
        if names
        else None,
        modes_note=modes_note,
        neglected=_neglected(inputs.metrics),
        curves=training_curves(inputs.history),
        lineage=_lineage(inputs),
        settings_text=_indented(inputs.settings_json),
        why_missing=_why_missing(inputs.verdict.checks),
    )


def render_markdown(verdict: Verdict, metrics: Metrics) -> str:
    """The verdict as a Markdown table: one row a check."""
    failed = sum(not check.passed for check in verdict.checks)
    count = f" ({failed} of {len(verdict.checks)} checks not passed)" if failed else ""
    outcome = ("passed" if verdict.passed else "failed") + count
    lines = [
        f"# Verdict: {outcome}",
        "",
        f"Dataset {_cell(metrics.dataset_name)}, limits from {_cell(verdict.limits_source)}.",
        "",
        "| | check | value | interval | limit | champion | reason |",
        "|---|---|---|---|---|---|---|",
    ]
    for check in verdict.checks:
        cells = [
            "✓ passed" if check.passed else "✗ **failed**",
            plain_words(check.name),
            number(check.value),
            interval_text(check.interval),
            number(check.limit),
            number(check.champion),
            check.reason,
        ]
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    if metrics.champion_note:
        lines += ["", f"Champion: {_cell(metrics.champion_note)}"]
    return "\n".join(lines) + "\n"


def frechet_in_floors(metrics: Metrics, checks: Sequence[Check]) -> FloorMultiple:
    """The Fréchet distance, its limit and the champion's as multiples of the real-vs-real floor."""

    def unknown(reason: str) -> FloorMultiple:
        return FloorMultiple(None, None, None, None, reason)

    metric, floor = metrics.metrics.get(FRECHET_DISTANCE), metrics.frechet_floor.value
    check = next((one for one in checks if one.name == FRECHET_DISTANCE), None)
    if metric is None:
        return unknown("the Fréchet distance was not measured for this recipe")
    if metric.value is None or not math.isfinite(metric.value):
        return unknown(check.reason if check else "the Fréchet distance could not be computed")
    if floor is None or not math.isfinite(floor):
        return unknown("the real-vs-real floor could not be computed")
    if floor <= 0.0:
        return unknown(f"the real-vs-real floor is {number(floor)}: too little held-out data to tell it from zero")
    champion = metrics.champion.get(FRECHET_DISTANCE)
    limit = None
    if check is not None and check.limit is not None and check.value:
        # Whether the check states distances or multiples of the floor, limit / value is the same.
        limit = check.limit / check.value * metric.value / floor
    return FloorMultiple(
        value=metric.value / floor,
        interval=None if metric.interval is None else (metric.interval[0] / floor, metric.interval[1] / floor),
        limit=limit,
        champion=None if champion is None or champion.value is None else champion.value / floor,
        reason="",
    )


def training_curves(history: Sequence[Mapping[str, float]]) -> list[Curve]:
    """The charts that the recorded names ask for; names of no known group get a chart each."""
    recorded = {name for row in history for name in row}
    ceiling = Ceiling(LOG_2, "log 2: D tells every sample apart")
    groups: list[tuple[str, str, list[Series], Ceiling | None]] = [
        (
            "Losses of the two players",
            "loss",
            _series(history, {"discriminator_loss": "discriminator", "generator_loss": "generator"}),
            None,
        ),
        (
            "Jensen-Shannon divergence, lower bound from D",
            "nats",
            _series(history, {"jsd_bound_train": "training data", "jsd_bound_held_out": "held-out data"}),
            ceiling,
        ),
        (
            "Gradient penalties",
            "penalty",
            _series(history, {"r1": "at real (R1)", "r2": "at samples (R2)"}),
            None,
        ),
        _autoencoding_group(history, recorded),
        (
            "Where the KL comes from",
            "nats per sample",
            _series(history, {"kl_nats_from_mean": "means", "kl_nats_from_variance": "variances"}),
            None,
        ),
    ]
    known = {"images_seen", "step", "seconds"}
    known |= {
        "discriminator_loss",
        "generator_loss",
        "r1",
        "r2",
        "kl_nats_from_mean",
        "kl_nats_from_variance",
    }
    known |= {"jsd_bound_train", "jsd_bound_held_out"}
    known |= {f"{prefix}{name}" for prefix in ("", "held_out_") for name in ("loss", "reconstruction_nats", "kl_nats")}
    for name in sorted(recorded - known):
        # The share of log 2 is the bound's own chart with its ceiling.
        if name.startswith("held_out_") or name.endswith("_share_of_log2"):
            continue
        lines = {name: "training", f"held_out_{name}": "held-out"}
        groups.append((plain_words(name), plain_words(name).lower(), _series(history, lines), None))
    return [
        Curve(title, Markup(line_chart(title, series, x_label="images seen", y_label=unit, ceiling=ceiling)))
        for title, unit, series, ceiling in groups
        if series
    ]


def plain_words(name: str) -> str:
    """A check's or metric's name as people say it."""
    words = name.replace("_", " ").replace("-", " ").replace("sha256", "SHA-256").strip()
    return _WORDS.get(name, words[:1].upper() + words[1:])


def number(value: float | None) -> str:
    """At most four significant digits; – for what is missing or not finite."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0.0:
        return "0"
    if abs(value) >= 1e9 or abs(value) < 1e-4:
        mantissa, exponent = f"{value:.2e}".split("e")
        text = f"{mantissa}e{int(exponent)}"
    elif abs(value) >= 1000.0:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.4g}"
    return text.replace("-", "−")


def interval_text(interval: tuple[float, float] | None) -> str:
    """Both ends, or – where there is none."""
    if interval is None or not all(math.isfinite(end) for end in interval):
        return MISSING
    return f"{number(interval[0])} to {number(interval[1])}"


def share_text(share: float) -> str:
    """A share as a percentage, or –."""
    return percent(share) if math.isfinite(share) else MISSING


def short_hash(text: str) -> str:
    """The first twelve digits of a hash; other text as it is."""
    if not _HASH.fullmatch(text):
        return text
    prefix = "sha256:" if text.startswith("sha256:") else ""
    return prefix + text.removeprefix(prefix)[:12] + "…"


def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "number": number,
        "interval": interval_text,
        "share": share_text,
        "words": plain_words,
        "short_hash": short_hash,
        "data_uri": data_uri,
        "metric_reason": _metric_reason,
    }
    return environment.from_string(Path(__file__).with_name("report.html.j2").read_text(encoding="utf-8"))


def _autoencoding_group(
    history: Sequence[Mapping[str, float]], recorded: set[str]
) -> tuple[str, str, list[Series], Ceiling | None]:
    if "kl_nats" not in recorded:
        lines = {"loss": "training", "held_out_loss": "held-out"}
        return "Reconstruction loss", "loss per sample", _series(history, lines), None
    terms = {"loss": "loss", "reconstruction_nats": "reconstruction", "kl_nats": "KL"}
    series = []
    for color, (name, label) in enumerate(terms.items(), start=1):
        series += _series(history, {name: label}, color=color)
        series += _series(history, {f"held_out_{name}": f"{label}, held-out"}, color=color, dashed=True)
    return "Negative ELBO and its terms", "nats per sample", series, None


def _series(
    history: Sequence[Mapping[str, float]], lines: Mapping[str, str], *, color: int = 1, dashed: bool = False
) -> list[Series]:
    """A line for each name that was recorded, in ascending colours."""
    found: list[Series] = []
    for name, label in lines.items():
        points = [(row["images_seen"], row[name]) for row in history if name in row and "images_seen" in row]
        if points:
            found.append(Series(label, points, color=color + len(found), dashed=dashed))
    return found


def _shown_modes(metrics: Metrics) -> tuple[list[str], list[float], list[float], str]:
    """Names, shares of the samples, shares of the data, and a note where not all modes are shown."""
    rows = list(zip(metrics.mode_names, metrics.mode_shares, metrics.real_mode_shares, strict=True))
    note = ""
    if len(rows) > _MOST_BARS:
        weakest = sorted(range(len(rows)), key=lambda index: (_share_of_due(rows[index][1], rows[index][2]), index))
        note = f"The {_MOST_BARS} most neglected of {len(rows):,} modes, weakest first."
        rows = [rows[index] for index in weakest[:_MOST_BARS]]
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows], note


def _neglected(metrics: Metrics) -> list[str]:
    """The modes with less than half of their share of the data, weakest first."""
    rows = zip(metrics.mode_names, metrics.mode_shares, metrics.real_mode_shares, strict=True)
    due = sorted(
        (_share_of_due(share, real_share), index, name) for index, (name, share, real_share) in enumerate(rows)
    )
    return [name for relative, _, name in due if relative < 0.5]


def _share_of_due(share: float, real_share: float) -> float:
    return share / real_share if math.isfinite(share) and real_share > 0.0 else math.inf


def _lineage(inputs: ReportInputs) -> dict[str, str]:
    """What was handed on, then the identities that the metrics carry themselves."""
    metrics = inputs.metrics
    carried = {
        "dataset": metrics.dataset_name,
        "dataset_fingerprint": metrics.dataset_fingerprint,
        "extractor_sha256": metrics.extractor_sha256,
        "sampler_sha256": metrics.sampler_sha256,
        "samples_sha256": metrics.samples_sha256,
    }
    told = {plain_words(name) for name in inputs.lineage} | set(inputs.lineage.values())
    untold = {name: text for name, text in carried.items() if not {plain_words(name), text} & told}
    return {**inputs.lineage, **untold}


def _why_missing(checks: Sequence[Check]) -> dict[str, str]:
    return {check.name: check.reason for check in checks if number(check.value) == MISSING}


def _metric_reason(metric: Metric, reason: str | None) -> str:
    if number(metric.value) != MISSING:
        return ""
    return reason or f"could not be computed from {metric.count:,} samples, or was not finite"


def _indented(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except json.JSONDecodeError:
        return text


def _cell(text: str) -> str:
    """Text that stays within its cell and means nothing to Markdown or HTML."""
    flat = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return flat.replace("\\", "\\\\").replace("|", "\\|").replace("`", "\\`") or MISSING
