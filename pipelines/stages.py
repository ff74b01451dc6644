"""The graph's tasks: their names, what people read of them, and what they ask of a cluster. Stated once, here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """One task of the graph.

    ``cpus`` and ``memory`` are Kubernetes quantities. ``own_work`` tells whether its seconds are the run's own work
    and not overhead, as interpreters, imports, the engine and MLflow are.
    """

    task: str
    title: str
    cpus: str
    memory: str
    cached: bool = True
    retried: bool = True
    own_work: bool = True
    asks_mlflow: bool = False


LIST = Stage("list-source", "list the source", "500m", "1Gi", cached=False, own_work=False, asks_mlflow=True)
READ = Stage("read-source", "read the source", "2", "4Gi")
PREPARE = Stage("prepare-data", "prepare the data", "1", "4Gi")
TRAIN = Stage("train-model", "train", "2", "8Gi", asks_mlflow=True)
EXTRACT = Stage("fit-feature-extractor", "fit the extractor", "2", "4Gi")
# The bundle's lineage names the run that it was exported in, and its recipe that run's limits.
EXPORT = Stage("export-model", "export to ONNX", "1", "4Gi", cached=False)
EVALUATE = Stage("evaluate-model", "evaluate", "2", "4Gi", cached=False, asks_mlflow=True)
# "Failed" is promotion's answer, not an accident: it is never tried again.
PROMOTE = Stage(
    "promote-model", "promote", "500m", "2Gi", cached=False, retried=False, own_work=False, asks_mlflow=True
)

COMPARE = Stage("compare-models", "compare", "1", "4Gi", cached=False)

COMPARISON_STAGES = (LIST, READ, PREPARE, EXTRACT, TRAIN, EXPORT, EVALUATE, COMPARE)
STAGES = (LIST, READ, PREPARE, TRAIN, EXTRACT, EXPORT, EVALUATE, PROMOTE)
