"""The graph's tasks: their names, what people read of them, and what they ask of a cluster. Stated once, here."""

from __future__ import annotations

from dataclasses import dataclass

HOUR = 3600


@dataclass(frozen=True)
class Stage:
    """One task of the graph.

    ``cpus`` and ``memory`` are Kubernetes quantities that a pod asks for; ``memory_limit`` is what it is stopped
    above. The CPU has no limit: a pod that is throttled gains nobody anything. ``timeout_seconds`` counts from the
    pod's start. ``own_work`` tells whether its seconds are the run's own work and not overhead, as interpreters,
    imports, the engine and MLflow are. ``asks_mlflow`` and ``asks_storage`` tell who gets address and credentials.
    """

    task: str
    title: str
    cpus: str
    memory: str
    memory_limit: str
    timeout_seconds: int
    cached: bool = True
    retried: bool = True
    own_work: bool = True
    asks_mlflow: bool = False
    asks_storage: bool = False


LIST = Stage(
    "list-source",
    "list the source",
    "500m",
    "1Gi",
    "2Gi",
    HOUR,
    cached=False,
    own_work=False,
    asks_mlflow=True,
    asks_storage=True,
)
READ = Stage("read-source", "read the source", "1", "4Gi", "8Gi", 12 * HOUR, asks_storage=True)
PREPARE = Stage("prepare-data", "prepare the data", "1", "4Gi", "8Gi", 6 * HOUR, asks_storage=True)
# Its sizes are the run's parameters, and its time the graph's: see pipelines/graph.py.
TRAIN = Stage("train-model", "train", "2", "8Gi", "8Gi", 24 * HOUR, asks_mlflow=True, asks_storage=True)
EXTRACT = Stage("fit-feature-extractor", "fit the extractor", "1", "4Gi", "8Gi", 6 * HOUR)
# The bundle's lineage names the run that it was exported in, and its recipe that run's limits.
EXPORT = Stage("export-model", "export to ONNX", "1", "4Gi", "8Gi", HOUR, cached=False)
# MLflow's artifacts may lie in S3, where its clients read and write them directly.
EVALUATE = Stage(
    "evaluate-model", "evaluate", "1", "4Gi", "8Gi", 6 * HOUR, cached=False, asks_mlflow=True, asks_storage=True
)
# "Failed" is promotion's answer, not an accident: it is never tried again.
PROMOTE = Stage(
    "promote-model",
    "promote",
    "500m",
    "2Gi",
    "4Gi",
    HOUR,
    cached=False,
    retried=False,
    own_work=False,
    asks_mlflow=True,
    asks_storage=True,
)
# On a cluster only: whatever became of the run, its MLflow run is ended. Here the local runner does that.
CONCLUDE = Stage(
    "conclude-run", "conclude the run", "250m", "1Gi", "2Gi", HOUR, cached=False, own_work=False, asks_mlflow=True
)

COMPARE = Stage("compare-models", "compare", "1", "4Gi", "8Gi", HOUR, cached=False)

COMPARISON_STAGES = (LIST, READ, PREPARE, EXTRACT, TRAIN, EXPORT, EVALUATE, COMPARE)
STAGES = (LIST, READ, PREPARE, TRAIN, EXTRACT, EXPORT, EVALUATE, PROMOTE)
CLUSTER_STAGES = (*STAGES, CONCLUDE)
