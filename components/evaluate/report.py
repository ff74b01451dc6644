"""The report as people read it: one self-contained page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from components.evaluate.curves import training_curves
from components.evaluate.documents import Check, Metric, Metrics, Verdict
from components.evaluate.floors import frechet_in_floors
from components.evaluate.neglect import neglected, shown_modes
from components.evaluate.pictures.exhibit import Exhibit
from components.evaluate.words import MISSING, interval_text, number, plain_words, share_text, short_hash
from components.figures.charts import bar_chart
from components.figures.pictures import data_uri

_SHOWN_EVENTS = 30
_FAMILIES = {
    "gan": "a generative adversarial network",
    "vae": "a variational autoencoder",
    "ae": "an autoencoder",
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
    """PNG: for each of these pictures the sample nearest to it, in whatever mode that lies."""


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
    neighbours: Exhibit | None = None
    """Samples beside training data."""
    latent_space: Sequence[Exhibit] = ()
    history: Sequence[Mapping[str, float]] = ()
    """Rows of training, each with ``images_seen`` and any named floats; a row need not have them all."""
    events: Sequence[Mapping[str, Any]] = ()
    """Alarms and roll-backs of training, each with ``images_seen``, ``event`` and ``text``."""
    lineage: Mapping[str, str] = field(default_factory=dict)
    settings_json: str = "{}"


def render_report(inputs: ReportInputs) -> str:
    """The whole report as one HTML page: no script, no outside address, same inputs, same characters."""
    names, shares, real_shares, modes_note = shown_modes(inputs.metrics)
    return page_template(Path(__file__).with_name("report.html.j2")).render(
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
        neglected=neglected(inputs.metrics),
        curves=training_curves(inputs.history),
        lineage=_lineage(inputs),
        settings_text=_indented(inputs.settings_json),
        why_missing=_why_missing(inputs.verdict.checks),
        SHOWN_EVENTS=_SHOWN_EVENTS,
    )


def page_template(file: Path) -> Template:
    """A page's template, which may include those beside it and the report's; unknown names are errors."""
    environment = Environment(
        loader=FileSystemLoader([file.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "interval": interval_text,
        "share": share_text,
        "words": plain_words,
        "short_hash": short_hash,
        "data_uri": data_uri,
        "metric_reason": _metric_reason,
    }
    return environment.get_template(file.name)


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
