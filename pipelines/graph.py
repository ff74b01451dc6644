"""The one graph: list → prepare → train ∥ fit extractor → export → evaluate → promote.

Every recipe is this graph with other defaults of its parameters.
"""

from typing import Any

from kfp import dsl

from components.evaluate.component import evaluate_model
from components.export.component import export_model
from components.extractor.component import fit_feature_extractor
from components.image import BASE_IMAGE
from components.listing.component import list_source
from components.prepare.component import prepare_data
from components.promote.component import promote_model
from components.recipe import Recipe
from components.train.component import train_model

PIPELINE_NAME = "ganvas-train-and-promote"
RETRIES = 2


def build_pipeline(recipe: Recipe, *, image: str = BASE_IMAGE, retries: int = RETRIES) -> Any:
    """The graph as a KFP pipeline with the recipe's values as the parameters' defaults.

    Args:
        recipe: whose values the parameters start from.
        image: what every component runs in; fixed when the pipeline is compiled.
        retries: how often a step that fails is run again; promotion never is, because "failed" is its answer.
    """
    limits = {
        name: value
        for name, value in recipe.gate.model_dump(mode="json", exclude_none=True).items()
        if name not in ("samples", "seed", "bootstrap_replicates")
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
            recipe_name: Name of the recipe, shown in the report and used for the model where model_name is empty.
            data_source: What to learn from: digits, mixture:ring8, mixture:grid25 or folder:/path/to/pictures.
            seed: Seed of weights, order of the data and noise; the same seed gives the same model.
            images_seen: Training budget: real images shown to the model until training ends.
            gate_limits: Limits that the model must keep to pass, as JSON; each name is a field of the recipe's gate.
            model_name: Name in the MLflow registry; empty for the recipe's name.
            automatic_promotion: Whether a model that passes and is not worse than the champion becomes champion.
            accelerator_type: Resource name of the GPU that training asks the cluster for.
            accelerator_count: Number of GPUs that training asks for; 0 trains on the CPU.
            nodes: Machines that train together.
            overrides: Further fields of the recipe by dotted path, as JSON, such as {"model.latent_size": 128}.
            recipe_json: The complete recipe that all other parameters start from.
        """
        run_id = dsl.PIPELINE_JOB_ID_PLACEHOLDER
        listed = list_source(
            recipe=recipe_json,
            data_source=data_source,
            seed=seed,
            images_seen=images_seen,
            gate_limits=gate_limits,
            model_name=model_name,
            automatic_promotion=automatic_promotion,
            nodes=nodes,
            overrides=overrides,
        )
        prepared = prepare_data(data=listed.outputs["data"], listing_digest=listed.outputs["digest"])
        dataset = prepared.outputs["dataset"]
        trained = train_model(
            training=listed.outputs["training"],
            model_name=listed.outputs["model_name"],
            pipeline_run_id=run_id,
            dataset=dataset,
        )
        fitted = fit_feature_extractor(
            extractor_settings=listed.outputs["extractor"], seed=listed.outputs["seed"], dataset=dataset
        )
        exported = export_model(
            recipe=listed.outputs["recipe"],
            pipeline_run_id=run_id,
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
            pipeline_run_id=run_id,
            checkpoint=trained.outputs["checkpoint"],
            bundle=exported.outputs["bundle"],
            report=evaluated.outputs["report"],
        )
        # (task, shown as, cached, CPUs, memory, retries)
        for task, name, cached, cpus, memory, again in (
            (listed, "List the source", False, "500m", "1Gi", retries),
            (prepared, "Prepare the data", True, "1", "4Gi", retries),
            (trained, "Train", True, "2", "8Gi", retries),
            (fitted, "Fit the extractor", True, "2", "4Gi", retries),
            (exported, "Export to ONNX", True, "1", "4Gi", retries),
            (evaluated, "Evaluate", False, "2", "4Gi", retries),
            (promoted, "Promote", False, "500m", "2Gi", 0),
        ):
            task.set_display_name(name).set_caching_options(cached)
            task.set_cpu_request(cpus).set_memory_request(memory).set_container_image(image)
            if again:
                task.set_retry(num_retries=again, backoff_duration="30s", backoff_factor=2.0)
        trained.set_accelerator_type(accelerator_type).set_accelerator_limit(accelerator_count)

    return train_and_promote
