"""The verdict as a Markdown table, for the pipeline's own pages."""

from __future__ import annotations

from components.evaluate.documents import Metrics, Verdict
from components.evaluate.words import MISSING, interval_text, number, plain_words


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


def _cell(text: str) -> str:
    """Text that stays within its cell and means nothing to Markdown or HTML."""
    flat = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return flat.replace("\\", "\\\\").replace("|", "\\|").replace("`", "\\`") or MISSING
