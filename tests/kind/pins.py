"""What the test installs, by version."""

from __future__ import annotations

KIND = "v0.32.0"
NODE_IMAGE = "kindest/node:v1.36.1"
"""The one that this kind was released with."""
PIPELINES = "2.17.0"
TRAINER = "v2.3.0"

_PIPELINES = "https://github.com/kubeflow/pipelines.git/manifests/kustomize"
_TRAINER = "https://github.com/kubeflow/trainer.git/manifests/overlays"
PIPELINES_CLUSTER = f"{_PIPELINES}/cluster-scoped-resources?ref={PIPELINES}"
PIPELINES_PLATFORM = f"{_PIPELINES}/env/platform-agnostic?ref={PIPELINES}"
TRAINER_MANAGER = f"{_TRAINER}/manager?ref={TRAINER}"

CLUSTER = "ganvas-test"
PIPELINE_IMAGE = "ganvas-pipeline:kind"
SERVING_IMAGE = "ganvas-serving:kind"
RECIPE = "digits-gan-smoke"
"""Also the name of the model that it registers."""

Service = tuple[str, str, int]
"""Namespace, name, port."""
PIPELINES_UI: Service = ("kubeflow", "ml-pipeline-ui", 80)
MLFLOW: Service = ("mlflow", "mlflow", 5000)
SERVING: Service = ("ganvas", "ganvas-serving", 80)
STORAGE: Service = ("ganvas-storage", "s3", 8333)
