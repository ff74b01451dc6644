"""A Dataset in a few lines: as facts for reports, as Markdown for the KFP UI."""

from __future__ import annotations

from collections.abc import Mapping

from components.prepare.manifest import Manifest


def facts(manifest: Manifest) -> dict[str, str]:
    """What people ask of data, each in one line."""
    statistics = manifest.statistics
    told = {
        "source": manifest.source,
        "samples": ", ".join(f"{split.rows:,} {name}" for name, split in manifest.splits.items()),
        "shape": f"{' × '.join(map(str, manifest.sample_shape))}, {manifest.resized}",
        "classes": f"{len(manifest.class_names):,}" if manifest.class_names else "none",
        "listed": f"{manifest.listed:,}, of which {manifest.rejected:,} were left out",
        "left out": _counted(manifest.rejected_reasons),
        "exact duplicates": f"{manifest.exact_duplicates:,}",
        "mean and deviation": "; ".join(
            f"{mean:.4g} ± {deviation:.4g}"
            for mean, deviation in zip(statistics.mean, statistics.deviation, strict=True)
        ),
    }
    for name, extent in (("width", statistics.width), ("height", statistics.height)):
        if extent is not None:
            told[name] = f"{extent.smallest:,} to {extent.largest:,} pixels, median {extent.median:,}"
    told |= {"formats": _counted(statistics.formats), "done on the way": _counted(statistics.notes)}
    return {name: text for name, text in told.items() if text}


def summarise(manifest: Manifest) -> str:
    """Facts, warnings and the rows of every class, as Markdown."""
    lines = [f"### {manifest.name}", ""]
    lines += [f"> **{warning}**\n" for warning in manifest.warnings]
    lines += ["| | |", "|---|---|", *(f"| {name} | {_cell(text)} |" for name, text in facts(manifest).items())]
    if manifest.class_names:
        lines += ["", "| class | " + " | ".join(manifest.splits) + " |", "|---|" + "---:|" * len(manifest.splits)]
        for number, name in enumerate(manifest.class_names):
            counts = (f"{split.rows_per_class[number]:,}" for split in manifest.splits.values())
            lines.append(f"| {_cell(name)} | " + " | ".join(counts) + " |")
    return "\n".join([*lines, "", f"fingerprint `{manifest.fingerprint}`", ""])


def _cell(text: str) -> str:
    """Text that stays in its cell of a table, whatever a folder is called."""
    return " ".join(text.replace("|", "&#124;").split())


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} × {name}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))
