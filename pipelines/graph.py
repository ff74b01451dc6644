"""The one graph: list → read, share by share → prepare → train ∥ fit extractor → export → evaluate → promote.

Every recipe is this graph with other defaults of its parameters.
"""

from typing import Any

from kfp import dsl, kubernetes

from components import environment
from components.evaluate.component import evaluate_model
from components.evaluate.settings import MEASURING
from components.export.component import export_model
from components.extractor.component import fit_feature_extractor
from components.image import BASE_IMAGE
from components.listing.component import list_source
from components.promote.component import promote_model
from components.recipe import Recipe
from components.train.component import train_model
from pipelines.stages import STAGES
from pipelines.tasks import read_and_prepare, set_up

PIPELINE_NAME = "ganvas-train-and-promote"
RETRIES = 2
RUN_ID_LABEL = "metadata.labels['pipeline/runid']"
"""Where Kubeflow Pipelines writes a run's id on each of its pods."""


def build_pipeline(
    recipe: Recipe,
    *,
    image: str = BASE_IMAGE,
    retries: int = RETRIES,
    tracking_uri: str = "",
    checkpoint_uri: str = "",
    run_id: str = "",
) -> Any:
    """The graph as a KFP pipeline with the recipe's values as the parameters' defaults.

    Args:
        recipe: whose values the parameters start from.
        image: what every component runs in; fixed when the pipeline is compiled.
        retries: how often a step that fails is run again, where that can help.
        tracking_uri: the MLflow store as the steps reach it; empty where their environment names it already.
        checkpoint_uri: a durable place that training's checkpoints are copied to; empty for none.
        run_id: the run's id where it is known; empty on a cluster, which gives it.
    """
    limits = {
        name: value
        for name, value in recipe.gate.model_dump(mode="json", exclude_none=True).items()
        if name not in MEASURING
    }

    @dsl.pipeline(
        name=PIPELINE_NAME,
        description="Prepare data, train a generative model, export it to ONNX, judge it and promote it in MLflow.",
    )
    def train_and_promote(
        recipe_name: str = recipe.name,
        data_source: str = recipe.data.source,
        seed: int = recipe.seed,
        images_seen: int = recipe.training.images_seen,
        gate_limits: dict = limits,  # type: ignore[type-arg]  # KFP reads the bare type
        model_name: str = recipe.promotion.model_name,
        automatic_promotion: bool = recipe.promotion.automatic,
        accelerator_type: str = "nvidia.com/gpu",
        accelerator_count: int = 0,
        nodes: int = recipe.resources.nodes,
        overrides: dict = {},  # type: ignore[type-arg]  # noqa: B006  # KFP reads a literal default
        recipe_json: str = recipe.model_dump_json(),
    ) -> None:
        """Prepare data, train a generative model, export it to ONNX, judge it and promote it in MLflow.

        Args:
            recipe_name: Name of the recipe, shown in the report.
            data_source: What to learn from: digits, mixture:ring8, folder:/path, s3://bucket/prefix and more.
            seed: Seed of weights, order of the data and noise; the same seed gives the same model.
            images_seen: Training budget: real images shown to the model until training ends.
            gate_limits: Limits that the model must keep to pass, as JSON; each name is a field of the recipe's gate.
            model_name: Name in the MLflow registry; empty for the name within recipe_json.
            automatic_promotion: Whether a model that passes and is not worse than the champion becomes champion.
            accelerator_type: Resource name of the GPU that training asks the cluster for.
            accelerator_count: Number of GPUs that training asks for, one process for each; 0 trains on the CPU.
            nodes: Machines that train together.
            overrides: Further fields of the recipe by dotted path, as JSON, such as {"model.latent_size": 128}.
            recipe_json: The complete recipe that all other parameters start from.
        """
        this_run = run_id or dsl.PIPELINE_JOB_ID_PLACEHOLDER
        listed = list_source(
            recipe=recipe_json,
            data_source=data_source,
            seed=seed,
            images_seen=images_seen,
            gate_limits=gate_limits,
            model_name=model_name,
            automatic_promotion=automatic_promotion,
            nodes=nodes,
            accelerator_count=accelerator_count,
            overrides=overrides,
            registers=True,
        )
        read, prepared = read_and_prepare(listed)
        dataset = prepared.outputs["dataset"]
        trained = train_model(training=listed.outputs["training"], dataset=dataset)
        fitted = fit_feature_extractor(
            extractor_settings=listed.outputs["extractor"], seed=listed.outputs["seed"], dataset=dataset
        )
        exported = export_model(
            recipe=listed.outputs["recipe"],
            pipeline_run_id=this_run,
            checkpoint=trained.outputs["checkpoint"],
        )
        evaluated = evaluate_model(
            gate=listed.outputs["gate"],
            recipe_name=recipe_name,
            model_name=listed.outputs["model_name"],
            dataset=dataset,
            extractor=fitted.outputs["extractor"],
            bundle=exported.outputs["bundle"],
        )
        promoted = promote_model(
            model_name=listed.outputs["model_name"],
            automatic_promotion=listed.outputs["automatic_promotion"],
            pipeline_run_id=this_run,
            checkpoint=trained.outputs["checkpoint"],
            bundle=exported.outputs["bundle"],
            report=evaluated.outputs["report"],
        )
        tasks = (listed, read, prepared, trained, fitted, exported, evaluated, promoted)
        set_up(tasks, STAGES, image=image, retries=retries)
        asking = {stage.task for stage in STAGES if stage.asks_mlflow}
        for task in tasks:
            if tracking_uri and task.name in asking:
                task.set_env_variable(environment.TRACKING_URI, tracking_uri)
        trained.set_accelerator_type(accelerator_type).set_accelerator_limit(accelerator_count)
        trained.set_env_variable(environment.MODEL_NAME, recipe.model_name)
        if checkpoint_uri:
            trained.set_env_variable(environment.CHECKPOINT_URI, checkpoint_uri)
        if run_id:
            trained.set_env_variable(environment.PIPELINE_RUN_ID, run_id)
        else:
            kubernetes.use_field_path_as_env(trained, environment.PIPELINE_RUN_ID, RUN_ID_LABEL)
            # A pod's own /dev/shm is 64 MB, too small for NCCL between several processes.
            kubernetes.empty_dir_mount(trained, "shared-memory", "/dev/shm", medium="Memory")

    return train_and_promote
