"""The table of metrics in ``docs/serving-operations.md``, from the registry itself.

    python -m tests.serving.metrics_table

writes it; a test holds that it is the one that would be written.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from serving.metrics import Metrics

PAGE = Path(__file__).parent.parent.parent / "docs" / "serving-operations.md"
BEGIN, END = "<!-- metrics: begin -->\n", "<!-- metrics: end -->\n"


def used_metrics() -> Metrics:
    """Metrics in which everything happened once."""
    metrics = Metrics()
    predictor = SimpleNamespace(waiting=(1, 2), provider="CPUExecutionProvider")
    place = SimpleNamespace(current=SimpleNamespace(predictor=predictor))
    slot = SimpleNamespace(name="m", current=place.current, canary=place)
    catalog: Any = SimpleNamespace(slots={"m": slot})
    metrics.watch(catalog)
    metrics.observe("/v2", 200, 0.1)
    metrics.observe("/inference.GRPCInferenceService/ModelInfer", "OK", 0.1)
    metrics.refused("overloaded")
    metrics.runs("m").ran(3, 0.01)
    metrics.models.model_served("m", "1", "passed")
    metrics.models.swap("m", succeeded=True)
    metrics.models.registry_failed()
    served: Any = SimpleNamespace(name="m", version="1", role="main")
    metrics.versions.observe(served, 200, 0.1)
    metrics.canaries.model_served("m", "2", "passed")
    metrics.canaries.swap("m", succeeded=True)
    metrics.canaries.registry_failed()
    return metrics


def table() -> str:
    """Name, kind, labels and meaning of every metric."""
    lines = ["| metric | kind | labels | |", "|---|---|---|---|"]
    for family in used_metrics().families():
        suffix = "_total" if family.type == "counter" else ""
        labels = {label: None for sample in family.samples for label in sample.labels if label != "le"}
        names = ", ".join(f"`{label}`" for label in labels)
        lines.append(f"| `{family.name}{suffix}` | {family.type} | {names} | {family.documentation} |")
    return "\n".join(lines) + "\n"


def with_table(text: str) -> str:
    """The page with its table as it is to be."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
