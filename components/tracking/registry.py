"""Registered models: versions, their aliases and tags, their bundles."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.tracking.connection import Connection
from components.tracking.names import RUN_TAG
from models.errors import ArtifactError

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

PAGE = 100
COPY = re.compile(r"models:/([^/]+)/(\d+)")
"""The source of a version that is a copy of another."""
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""What a store calls a model, a version or an alias that it does not know."""


@dataclass(frozen=True)
class ListedVersion:
    """A version as the registry lists it; ``aliases`` are those that name it."""

    model_name: str
    version: str
    created: datetime
    tags: dict[str, str]
    aliases: tuple[str, ...]


class Registry(Connection):
    """The registered models of a store."""

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
                if error.error_code in ABSENT:
                    return None
                raise

    def find_version(self, model_name: str, *, version: str = "", alias: str = "") -> str:
        """The version that a number or an alias names.

        Raises:
            ArtifactError: if there is none, with what there is instead.
        """
        from mlflow.exceptions import MlflowException

        with self._explained():
            try:
                if alias:
                    return str(self.client.get_model_version_by_alias(model_name, alias).version)
                return str(self.client.get_model_version(model_name, version).version)
            except MlflowException as error:
                if error.error_code not in ABSENT:
                    raise
            try:
                aliases = self.client.get_registered_model(model_name).aliases
            except MlflowException as error:
                if error.error_code not in ABSENT:
                    raise
                raise ArtifactError(f"No model is registered as {model_name}.", "Promote one first.") from error
            known = ", ".join(f"{name} (version {number})" for name, number in sorted(aliases.items()))
            raise ArtifactError(
                f"{model_name} has no {f'alias {alias}' if alias else f'version {version}'}.",
                f"Its aliases: {known or 'none'}.",
            )

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

    def download(self, model_name: str, version: str, into: Path) -> Path:
        """A version's bundle, copied into a directory.

        Raises:
            ArtifactError: if the version has no bundle: somebody registered it by other means.
            TrackingError: if there is no such version, or the store does not answer.
        """
        import mlflow.artifacts

        uri = f"models:/{model_name}/{version}"
        with self._explained():
            files = mlflow.artifacts.list_artifacts(artifact_uri=uri, tracking_uri=self.uri)
            if not any(Path(file.path).name == "bundle" for file in files):
                raise ArtifactError(
                    f"Version {version} of {model_name} has no bundle/ among its artifacts.",
                    "Register models with `ganvas promote`.",
                )
            mlflow.artifacts.download_artifacts(artifact_uri=f"{uri}/bundle", dst_path=str(into), tracking_uri=self.uri)
            return into / "bundle"

    def model_names(self) -> list[str]:
        """Every registered model."""
        names: list[str] = []
        with self._explained():
            page = self.client.search_registered_models(max_results=PAGE)
            while True:
                names += [str(model.name) for model in page]
                if not page.token:
                    return names
                page = self.client.search_registered_models(max_results=PAGE, page_token=page.token)

    def versions(self, model_name: str) -> list[ListedVersion]:
        """Every version of a model, with its tags and aliases."""
        with self._explained():
            named: dict[str, list[str]] = {}
            for alias, version in self.client.get_registered_model(model_name).aliases.items():
                named.setdefault(str(version), []).append(alias)
            found = []
            page = self.client.search_model_versions(f"name = '{model_name}'", max_results=PAGE)
            while True:
                found += list(page)
                if not page.token:
                    break
                page = self.client.search_model_versions(
                    f"name = '{model_name}'", max_results=PAGE, page_token=page.token
                )
            return [
                ListedVersion(
                    model_name=model_name,
                    version=str(one.version),
                    created=datetime.fromtimestamp(one.creation_timestamp / 1000, UTC),
                    tags=dict(one.tags),
                    aliases=tuple(sorted(named.get(str(one.version), ()))),
                )
                for one in found
            ]

    def size_bytes(self, model_name: str, version: str) -> int:
        """Bytes of a version's artifacts."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        with self._explained():
            repository = get_artifact_repository(self.client.get_model_version_download_uri(model_name, version))

            def below(path: str | None) -> int:
                listed = repository.list_artifacts(path)
                return sum(below(one.path) if one.is_dir else int(one.file_size or 0) for one in listed)

            return below(None)

    def sharing(self, model_name: str, version: str) -> list[str]:
        """Other versions that load a version's artifacts, such as its copies under other names."""
        with self._explained():
            own = self.client.get_model_version(model_name, version)
            copied = COPY.fullmatch(str(own.source))
            found = [f"{copied[1]}/{copied[2]}"] if copied else []
            for source in {str(own.source), f"models:/{model_name}/{version}"}:
                for other in self.client.search_model_versions(f"source_path = '{source}'", max_results=PAGE):
                    if (other.name, str(other.version)) != (model_name, version):
                        found.append(f"{other.name}/{other.version}")
            return sorted(set(found))

    def remove_version(self, model_name: str, version: str) -> None:
        """Remove a version and its artifacts, unless an alias names it by now.

        The version goes first: what is left half-done is a model that nobody finds, not one that cannot be loaded.

        Raises:
            ArtifactError: if an alias names it, or another version loads its artifacts.
        """
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        with self._explained():
            aliases = [
                alias
                for alias, named in self.client.get_registered_model(model_name).aliases.items()
                if str(named) == version
            ]
            if aliases:
                raise ArtifactError(f"Version {version} of {model_name} is its {aliases[0]} by now.", "It stays.")
            if others := self.sharing(model_name, version):
                raise ArtifactError(f"{others[0]} loads the artifacts of {model_name}/{version}.", "It stays.")
            place = self.client.get_model_version_download_uri(model_name, version)
            model_id = self.client.get_model_version(model_name, version).model_id
            self.client.delete_model_version(model_name, version)
            get_artifact_repository(place).delete_artifacts()
            if model_id:
                self.client.delete_logged_model(model_id)


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
