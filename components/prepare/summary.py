"""A Dataset in a few lines of Markdown, for the KFP UI."""

from __future__ import annotations

from components.prepare.manifest import Manifest


def summarise(manifest: Manifest) -> str:
    """What is in it, what was rejected and why."""
    lines = [
        f"### {manifest.name}: {manifest.source}",
        "",
        f"{manifest.listed:,} listed, {manifest.rejected:,} rejected, "
        f"{manifest.exact_duplicates:,} exact duplicates; samples are {manifest.sample_shape}, {manifest.resized}.",
        "",
        "| split | rows | " + " | ".join(manifest.class_names) + " |",
        "|---|---|" + "---|" * len(manifest.class_names),
    ]
    for name, split in manifest.splits.items():
        lines.append(f"| {name} | {split.rows:,} | " + " | ".join(map(str, split.rows_per_class)) + " |")
    for reason, count in manifest.rejected_reasons.items():
        lines.append(f"\n- rejected as {reason}: {count:,}")
    return "\n".join([*lines, "", f"fingerprint `{manifest.fingerprint}`", ""])
