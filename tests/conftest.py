"""Tiny runs of every family, made once a session and shared: prepare, train, fit, export, evaluate."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.once import made_once, parse_operators_once

NETWORKS = {"gan": ("generator", "discriminator"), "vae": ("encoder", "decoder"), "ae": ("encoder", "decoder")}
OUTSIDE = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_RUN_ID",
    "MLFLOW_EXPERIMENT_ID",
    "KFP_HOST",
    "KFP_ENDPOINT",
    "KFP_NAMESPACE",
    "KFP_EXISTING_TOKEN",
    "KFP_COOKIES",
    "KF_PIPELINES_SA_TOKEN_PATH",
    "KFP_SSL_CA_CERT",
    "KUBERNETES_SERVICE_HOST",
    "GANVAS_IMAGE",
    "GANVAS_CACHE",
    "GANVAS_CODE_REVISION",
    "GANVAS_MODEL_NAME",
    "GANVAS_PIPELINE_RUN_ID",
    "GANVAS_RUN_URL",
    "GANVAS_MLFLOW_URL",
    "GANVAS_CLUSTER",
)
"""Variables that would tell the tests of a store, a cluster or a run that is not theirs."""
TINY_TRAINING = {
    "training.images_seen": 640,
    "training.batch_size": 32,
    "training.log_every_images": 64,
    "training.sample_every_images": 320,
    "training.checkpoint_every_images": 64,
    "training.threads_per_process": 1,
}


@dataclass(frozen=True)
class Tiny:
    """Where one family's artifacts lie."""

    recipe: Any
    dataset: Path
    checkpoint: Path
    extractor: Path
    bundle: Path
    report: Path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, where each worker begins: none is left alone with one when the rest is done.

    Among themselves, and all others, in the random order that they come in.
    """
    long = [item for item in items if item.get_closest_marker("long")]
    others = [item for item in items if not item.get_closest_marker("long")]
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    share = -(-len(others) // workers)
    items[:] = [
        item
        for worker in range(workers)
        for item in [*long[worker::workers], *others[worker * share : (worker + 1) * share]]
    ]


@pytest.fixture(autouse=True)
def _no_store_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' environment is the tests' own."""
    for name in OUTSIDE:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _operators_are_parsed_once() -> None:
    parse_operators_once()


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the artifacts of all the session's processes lie; read, never written, by the tests."""
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    (place / "tiny").mkdir(exist_ok=True)
    return place / "tiny"


@pytest.fixture(scope="session")
def digits(artifacts: Path) -> Path:
    """The built-in digits, prepared."""
    from components.prepare.core import prepare
    from components.prepare.settings import DataSettings

    return made_once(artifacts / "digits", partial(prepare, DataSettings()))


@pytest.fixture(scope="session")
def ring(artifacts: Path) -> Path:
    """Eight Gaussians on a circle, prepared."""
    from components.prepare.core import prepare
    from components.prepare.settings import DataSettings

    return made_once(artifacts / "ring", partial(prepare, DataSettings(source="mixture:ring8", rows=6_000)))


@pytest.fixture(scope="session")
def tiny_recipe() -> Callable[[str], Any]:
    """Recipes of ``gan``, ``vae``, ``ae`` (digits) and ``ring`` (vectors) that train in a second."""

    def make(family: str) -> Any:
        from components.recipe import override
        from pipelines.recipes import recipe_by_name

        if family == "ring":
            widths = {f"model.{network}.hidden_width": 16 for network in NETWORKS["gan"]}
            return override(recipe_by_name("ring-gan"), {**TINY_TRAINING, **widths, "data.rows": 6_000})
        widths = {f"model.{network}.base_channels": 4 for network in NETWORKS[family]}
        effort = {"extractor.epochs": 1, "extractor.base_channels": 8, "extractor.feature_width": 16}
        effort |= {"extractor.batch_size": 32, "extractor.learning_rate": 1e-2}
        gate = {"gate.samples": 500, "gate.importance_samples": 2, "gate.likelihood_rows": 20}
        return override(
            recipe_by_name(f"digits-{family}"),
            {**TINY_TRAINING, **widths, **effort, **gate, "model.latent_size": 8},
        )

    return make


@pytest.fixture(scope="session")
def extractor_of(
    artifacts: Path, digits: Path, ring: Path, tiny_recipe: Callable[[str], Any]
) -> Callable[[Path], Path]:
    """The Extractor of a Dataset, fitted once."""

    def fit(dataset: Path) -> Path:
        import torch

        from components.extractor.core import fit_extractor

        torch.set_num_threads(1)
        parse_operators_once(load=True)
        fitting = partial(fit_extractor, tiny_recipe("gan").extractor, 0, dataset)
        return made_once(artifacts / f"extractor-{dataset.name}", fitting)

    return fit


@pytest.fixture(scope="session")
def tiny(
    artifacts: Path,
    digits: Path,
    ring: Path,
    tiny_recipe: Callable[[str], Any],
    extractor_of: Callable[[Path], Path],
) -> Callable[[str], Tiny]:
    """One family's whole way from data to report; made at the first call, shared after it."""
    made: dict[str, Tiny] = {}

    def make(family: str) -> Tiny:
        if family in made:
            return made[family]
        from components.evaluate.core import evaluate
        from components.export.core import export
        from components.train.core import train

        recipe = tiny_recipe(family)
        dataset = ring if family == "ring" else digits
        root, extractor = artifacts / f"run-{family}", extractor_of(dataset)
        run = Tiny(recipe, dataset, root / "checkpoint", extractor, root / "bundle", root / "report")

        def all_steps(_: Path) -> None:
            train(recipe, dataset, run.checkpoint)
            export(run.checkpoint, run.bundle, pipeline_run_id=f"run-{family}")
            evaluate(run.bundle, dataset, run.extractor, run.report, recipe.gate, limits_source="recipe")

        made_once(root, all_steps)
        made[family] = run
        return run

    return make


@pytest.fixture(scope="session")
def subprocess_environment() -> dict[str, str]:
    """For processes that tests start: one thread, no store, no network but loopback."""
    return {name: value for name, value in os.environ.items() if name not in OUTSIDE} | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
    }


@pytest.fixture(scope="session")
def new_store(artifacts: Path) -> Callable[[Path], str]:
    """Makes an empty MLflow store of a path that is none yet, and gives its URI.

    It is a copy: MLflow's sixty migrations of a new file take two seconds.
    """

    def new(path: Path) -> str:
        def make(directory: Path) -> None:
            from components.tracking import Tracking

            with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
                warnings.simplefilter("ignore")  # mlflow's own
                for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
                    patch.setenv(name, "")  # mlflow writes both: whoever asks next must not mean, and fill, this store
                Tracking(f"sqlite:///{directory / 'mlflow.db'}").client.search_experiments()

        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made_once(artifacts / "empty-store", make) / "mlflow.db", path)
        return f"sqlite:///{path}"

    return new


@pytest.fixture(scope="session")
def sessions_store(tmp_path_factory: pytest.TempPathFactory, new_store: Callable[[Path], str]) -> str:
    """The URI of a real MLflow store in a SQLite file."""
    return new_store(tmp_path_factory.mktemp("store") / "mlflow.db")


@pytest.fixture
def store(sessions_store: str) -> Any:
    """It, opened for this test: mlflow registers by the store that its process opened last, maybe another test's."""
    from components.tracking import Tracking

    return Tracking(sessions_store)
