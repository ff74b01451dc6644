"""Runs: made or found, told of, ended."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.environment import RUN_URL
from components.tracking.connection import Connection
from components.tracking.names import EXPERIMENTS, PARENT_TAG, RUN_TAG, RUN_URL_TAG
from components.tracking.place import run_page

BATCH_METRICS = 1000


class Runs(Connection):
    """The runs of a store."""

    def run_for(self, model_name: str, pipeline_run_id: str) -> str:
        """The id of this pipeline run's MLflow run: the engine's own, one found by tag, or a new one.

        Where the engine keeps MLflow runs itself, ``MLFLOW_RUN_ID`` is a task's, nested in that of the whole run: all
        tasks take the latter, so that a pipeline run stays one run.
        """
        with self._explained():
            given = self._engines_run()
            if given:
                self._tag_run(given, run_tags(pipeline_run_id))
                return given
            experiment_id = self._experiment(f"{EXPERIMENTS}{model_name}")
            found = self._tagged([experiment_id], pipeline_run_id)
            if found:
                return str(found[0].info.run_id)
            run = self.client.create_run(
                experiment_id, run_name=pipeline_run_id or None, tags=run_tags(pipeline_run_id)
            )
            return str(run.info.run_id)

    def _engines_run(self) -> str:
        given = os.environ.get("MLFLOW_RUN_ID", "")
        if not given:
            return ""
        return str(self.client.get_run(given).data.tags.get(PARENT_TAG, given))

    def _tag_run(self, run_id: str, tags: Mapping[str, str]) -> None:
        for name, value in tags.items():
            self.client.set_tag(run_id, name, value)

    def _tagged(self, experiment_ids: list[str], pipeline_run_id: str, condition: str = "") -> list[Any]:
        if not pipeline_run_id or not experiment_ids:
            return []
        return list(
            self.client.search_runs(
                experiment_ids, filter_string=f"tags.`{RUN_TAG}` = '{pipeline_run_id}'{condition}", max_results=100
            )
        )

    def open_runs(self, pipeline_run_id: str) -> list[str]:
        """Ids of a pipeline run's MLflow runs that nobody has ended, whichever model's they are."""
        with self._explained():
            found = self._tagged(self._experiments(), pipeline_run_id, " and attributes.status = 'RUNNING'")
            return [str(run.info.run_id) for run in found]

    def _experiments(self) -> list[str]:
        ours = self.client.search_experiments(filter_string=f"name LIKE '{EXPERIMENTS}%'")
        return [str(experiment.experiment_id) for experiment in ours]

    def page_of(self, run_id: str) -> str:
        """The page of a run in the server's UI; empty where the store is a file."""
        with self._explained():
            return run_page(self.uri, str(self.client.get_run(run_id).info.experiment_id), run_id)

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
        """End the run: FINISHED, or FAILED where the gate said no. The engine ends its own itself."""
        with self._explained():
            if run_id != self._engines_run():
                self.client.set_terminated(run_id, "FINISHED" if passed else "FAILED")

    def end_run(self, run_id: str, status: str, tags: Mapping[str, str]) -> None:
        """End a run that was left open, with tags that say why."""
        with self._explained():
            self._tag_run(run_id, tags)
            self.client.set_terminated(run_id, status)


def run_tags(pipeline_run_id: str) -> dict[str, str]:
    """Tags by which an MLflow run leads back to the engine's: its id and, where the page's address is known, a link."""
    pattern = os.environ.get(RUN_URL, "")
    link = {RUN_URL_TAG: pattern.replace("{run_id}", pipeline_run_id)} if pattern and pipeline_run_id else {}
    return {RUN_TAG: pipeline_run_id} | link


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value if isinstance(value, str) else json.dumps(value)
