"""The pipeline's only file that speaks MLflow. mlflow is imported when something is asked of it, not before."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.environment import TRACKING_URI
from models.errors import ArtifactError, GanvasError, TrackingError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

RUN_TAG = "ganvas.pipeline_run_id"
CHAMPION = "champion"
"""The alias of the version that serves."""
CHALLENGER = "challenger"
"""The alias of a version that passed and waits for a person, or for a comparison."""
PREVIOUS_CHAMPION_TAG = "previous_champion"
DATASET_NAME_TAG = "ganvas.dataset_name"
EXTRACTOR_TAG = "ganvas.extractor_sha256"
DEFAULT_ROOT = "runs"
BATCH_METRICS = 1000


def tracking_uri() -> str:
    """The store: ``MLFLOW_TRACKING_URI``, or a SQLite file under ``./runs``."""
    configured = os.environ.get(TRACKING_URI, "")
    if configured:
        return configured
    return f"sqlite:///{Path(DEFAULT_ROOT).resolve() / 'mlflow.db'}"


def require_lasting_store() -> None:
    """Refuse, in a task on a cluster, the default store: a file on the pod's own disk, which vanishes with the pod.

    Evaluation would never see a champion, and promotion would register versions that nobody can ever serve.

    Raises:
        TrackingError: if this is a pod and no store is named.
    """
    if os.environ.get("KUBERNETES_SERVICE_HOST") and not os.environ.get(TRACKING_URI):
        raise TrackingError(
            f"{TRACKING_URI} is not set: models would be registered on this pod's own disk and vanish with it.",
            "Compile or submit the graph with --tracking-uri.",
        )


def is_server(uri: str) -> bool:
    """Whether the store is a tracking server, where others can watch a run while it goes on."""
    return uri.startswith(("http://", "https://"))


def is_absent(uri: str) -> bool:
    """Whether the store is a SQLite file that nobody has made yet: then it holds nothing, and need not be asked."""
    return uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists()


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of a registered model, with its bundle on this disk."""

    version: str
    tags: dict[str, str]
    bundle: Path


class Tracking:
    """One MLflow store."""

    def __init__(self, uri: str | None = None) -> None:
        self.uri = uri or tracking_uri()
        with self._explained():
            self.client = self._connect()

    def _connect(self) -> MlflowClient:
        if self.uri.startswith("sqlite:///"):
            Path(self.uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        if is_server(self.uri):
            # A person waits here: fail in seconds, with a reason, instead of after minutes of retries.
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
        import mlflow

        # It says at length what is no news here (each migration of a fresh store, a missing pip).
        for chatty in ("mlflow", "alembic"):
            logging.getLogger(chatty).setLevel(logging.ERROR)
        mlflow.set_tracking_uri(self.uri)
        mlflow.set_registry_uri(self.uri)
        return mlflow.MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Whatever the store refuses becomes one line that names it."""
        try:
            yield
        except GanvasError:
            raise
        except Exception as error:  # mlflow, its HTTP client and its database raise unrelated kinds
            first_line = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
            raise TrackingError(
                f"MLflow at {self.uri} does not answer as it should: {first_line}",
                "Check MLFLOW_TRACKING_URI and that the server runs; without it a SQLite store under ./runs is used.",
            ) from error

    # -- runs -----------------------------------------------------------------------------------------

    def run_for(self, model_name: str, pipeline_run_id: str) -> str:
        """The id of this pipeline run's MLflow run: the one in the environment, found by tag, or new."""
        given = os.environ.get("MLFLOW_RUN_ID", "")
        with self._explained():
            if given:
                self.client.set_tag(given, RUN_TAG, pipeline_run_id)
                return given
            experiment_id = self._experiment(f"ganvas/{model_name}")
            if pipeline_run_id:
                found = self.client.search_runs(
                    [experiment_id], filter_string=f"tags.`{RUN_TAG}` = '{pipeline_run_id}'", max_results=1
                )
                if found:
                    return str(found[0].info.run_id)
            run = self.client.create_run(
                experiment_id, run_name=pipeline_run_id or None, tags={RUN_TAG: pipeline_run_id}
            )
            return str(run.info.run_id)

    def _experiment(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        location = None
        if self.uri.startswith("sqlite:///"):
            root = Path(self.uri.removeprefix("sqlite:///")).resolve().parent
            location = (root / "mlartifacts" / name.replace("/", "-")).as_uri()
        return str(self.client.create_experiment(name, artifact_location=location))

    def log_history(self, run_id: str, history: Sequence[Mapping[str, float]]) -> None:
        """Training curves, each number at its step (images seen)."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [
            Metric(f"train/{name}", float(value), now, int(row["images_seen"]))
            for row in history
            for name, value in row.items()
            if name != "images_seen"
        ]
        with self._explained():
            for start in range(0, len(metrics), BATCH_METRICS):
                self.client.log_batch(run_id, metrics=metrics[start : start + BATCH_METRICS])

    def log_sample_pictures(self, run_id: str, pictures: Mapping[int, bytes]) -> None:
        """Grids of the same latents by images seen: a scrubber in the MLflow UI."""
        import io

        from PIL import Image

        with self._explained():
            for images_seen, png in pictures.items():
                self.client.log_image(run_id, Image.open(io.BytesIO(png)), key="samples", step=images_seen)

    def log_settings(self, run_id: str, settings: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Leaves of the resolved recipe as parameters (a retry writes the same), and tags."""
        from mlflow.entities import Param, RunTag

        with self._explained():
            known = self.client.get_run(run_id).data.params
            parameters = [Param(path, str(value)[:6000]) for path, value in _leaves(settings) if path not in known]
            for start in range(0, max(len(parameters), 1), 100):
                self.client.log_batch(
                    run_id,
                    params=parameters[start : start + 100],
                    tags=[RunTag(name, value[:5000]) for name, value in tags.items()],
                )

    def log_files(self, run_id: str, paths: Sequence[Path], folder: str) -> None:
        """Copies of files among the run's artifacts."""
        with self._explained(), tempfile.TemporaryDirectory() as staging:
            for path in paths:
                shutil.copyfile(path, Path(staging) / path.name)
            self.client.log_artifacts(run_id, staging, folder)

    def finish_run(self, run_id: str, *, passed: bool) -> None:
        """End the run: FINISHED, or FAILED where the gate said no."""
        with self._explained():
            self.client.set_terminated(run_id, "FINISHED" if passed else "FAILED")

    # -- models ---------------------------------------------------------------------------------------

    def register(
        self,
        model_name: str,
        run_id: str,
        bundle: Path,
        sampler_file: str,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
    ) -> str:
        """A new version: the sampler in MLflow's ONNX flavour with the whole bundle beside it.

        Returns:
            The version; the one that is there already when the same pipeline run registers again.
        """
        with self._explained():
            existing = self._version_of_run(model_name, tags.get(RUN_TAG, ""))
            if existing is not None:
                return str(existing.version)
            experiment_id = self.client.get_run(run_id).info.experiment_id
            model_id = self._log_model(experiment_id, model_name, run_id, bundle, sampler_file, tags)
            self._log_model_metrics(run_id, model_id, metrics)
            if not self.client.search_registered_models(f"name = '{model_name}'"):
                self.client.create_registered_model(model_name)
            version = self.client.create_model_version(
                model_name, source=f"models:/{model_id}", run_id=run_id, tags=dict(tags), model_id=model_id
            )
            return str(version.version)

    def _log_model(
        self, experiment_id: str, name: str, run_id: str, bundle: Path, sampler_file: str, tags: Mapping[str, str]
    ) -> str:
        import mlflow.onnx
        import onnx

        model = self.client.create_logged_model(
            experiment_id, name=name, source_run_id=run_id, model_type="onnx", tags=dict(tags)
        )
        with tempfile.TemporaryDirectory() as staging:
            directory = Path(staging) / "model"
            graph = onnx.load(bundle / sampler_file)
            mlflow.onnx.save_model(
                graph,
                str(directory),
                signature=_mlflow_signature(graph),
                save_as_external_data=False,
                pip_requirements=["onnxruntime"],
            )
            shutil.copytree(bundle, directory / "bundle")
            self.client.log_model_artifacts(model.model_id, str(directory))
        self.client.finalize_logged_model(model.model_id, "READY")
        return str(model.model_id)

    def _log_model_metrics(self, run_id: str, model_id: str, metrics: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self.client.log_batch(
            run_id, metrics=[Metric(name, value, now, 0, model_id=model_id) for name, value in metrics.items()]
        )

    def _version_of_run(self, model_name: str, pipeline_run_id: str) -> ModelVersion | None:
        if not pipeline_run_id:
            return None
        found = self.client.search_model_versions(f"name = '{model_name}' and tags.`{RUN_TAG}` = '{pipeline_run_id}'")
        return found[0] if found else None

    def alias_version(self, model_name: str, alias: str) -> str | None:
        """The version that an alias names, or None."""
        from mlflow.exceptions import MlflowException

        with self._explained():
            try:
                return str(self.client.get_model_version_by_alias(model_name, alias).version)
            except MlflowException as error:
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise

    def version_tags(self, model_name: str, version: str) -> dict[str, str]:
        """Tags of a version.

        Raises:
            TrackingError: if there is no such version.
        """
        with self._explained():
            return dict(self.client.get_model_version(model_name, version).tags)

    def set_alias(self, model_name: str, alias: str, version: str) -> None:
        """Move an alias."""
        with self._explained():
            self.client.set_registered_model_alias(model_name, alias, version)

    def delete_alias(self, model_name: str, alias: str) -> None:
        """Remove an alias."""
        with self._explained():
            self.client.delete_registered_model_alias(model_name, alias)

    def tag_version(self, model_name: str, version: str, name: str, value: str) -> None:
        """Set a tag of a version."""
        with self._explained():
            self.client.set_model_version_tag(model_name, version, name, value)

    def download(self, model_name: str, version: str, into: Path) -> RegisteredVersion:
        """A version's bundle, copied into a directory.

        Raises:
            ArtifactError: if the version has no bundle: somebody registered it by other means.
            TrackingError: if there is no such version, or the store does not answer.
        """
        import mlflow.artifacts

        uri = f"models:/{model_name}/{version}"
        with self._explained():
            found = self.client.get_model_version(model_name, version)
            files = mlflow.artifacts.list_artifacts(artifact_uri=uri, tracking_uri=self.uri)
            if not any(Path(file.path).name == "bundle" for file in files):
                raise ArtifactError(
                    f"Version {version} of {model_name} has no bundle/ among its artifacts.",
                    "Register models with `ganvas promote`.",
                )
            mlflow.artifacts.download_artifacts(artifact_uri=f"{uri}/bundle", dst_path=str(into), tracking_uri=self.uri)
            return RegisteredVersion(str(found.version), dict(found.tags), into / "bundle")


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value if isinstance(value, str) else json.dumps(value)


def _mlflow_signature(graph: Any) -> Any:
    """MLflow's own description of an ONNX graph's tensors; the batch axis is -1."""
    import numpy as np
    import onnx
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    def schema(tensors: Any) -> Schema:
        return Schema(
            [
                TensorSpec(
                    np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.type.tensor_type.elem_type)),
                    (-1, *(axis.dim_value for axis in tensor.type.tensor_type.shape.dim[1:])),
                    tensor.name,
                )
                for tensor in tensors
            ]
        )

    return ModelSignature(inputs=schema(graph.graph.input), outputs=schema(graph.graph.output))
