"""The graph of a comparison: the data and its extractor once; of each family train → export → evaluate; compare."""

from typing import Any

from kfp import dsl

from components import environment
from components.compare.component import compare_models
from components.evaluate.component import evaluate_model
from components.export.component import export_model
from components.extractor.component import fit_feature_extractor
from components.image import BASE_IMAGE
from components.listing.component import list_source
from components.recipe import Recipe
from components.train.component import train_model
from pipelines.stages import COMPARISON_STAGES
from pipelines.surroundings import Surroundings
from pipelines.tasks import read_and_prepare, set_up, tell_run

PIPELINE_NAME = "ganvas-compare"


def build_comparison(
    recipes: list[Recipe],
    *,
    image: str = BASE_IMAGE,
    retries: int = 2,
    run_id: str = "",
    accelerators: int = 0,
    around: Surroundings | None = None,
) -> Any:
    """The graph as a KFP pipeline.

    Args:
        recipes: of the models, which differ in nothing but the model; the first one's data and extractor are used.
        image: what every component runs in; fixed when the pipeline is compiled.
        retries: how often a step that fails is run again, where that can help.
        run_id: the run's id where it is known; empty on a cluster, which gives it.
        accelerators: GPUs that each training asks the cluster for.
        around: the stores, Secrets and sizes on a cluster; by default none and the stages' own.
    """
    around = around or Surroundings()
    first = recipes[0]
    models = [
        {
            "recipe_title": recipe.name,
            "recipe": recipe.model_dump_json(),
            "training": recipe.for_training().model_dump_json(),
            "gate": recipe.gate.model_dump_json(),
        }
        for recipe in recipes
    ]

    @dsl.pipeline(
        name=PIPELINE_NAME, description="GAN, VAE and AE on the same data: one report, every claim with its number."
    )
    def compare_families(
        data_source: str = first.data.source,
        seed: int = first.seed,
        recipe_json: str = first.model_dump_json(),
    ) -> None:
        """GAN, VAE and AE on the same data: one report, every claim with its number.

        Args:
            data_source: What to learn from: digits, folder:/path, s3://bucket/prefix and more.
            seed: Seed of the extractor's weights.
            recipe_json: The recipe whose data and extractor are used.
        """
        this_run = run_id or dsl.PIPELINE_JOB_ID_PLACEHOLDER
        listed = list_source(
            recipe=recipe_json,
            data_source=data_source,
            seed=seed,
            images_seen=first.training.images_seen,
            gate_limits={},
            model_name="",
            automatic_promotion=False,
            nodes=1,
            accelerator_count=0,
            accelerator_type=around.accelerator_type,
            training_cpus=around.training_cpus,
            training_memory=around.training_memory,
            tolerations=[],
            node_selector={},
            overrides={},
            registers=False,  # what is compared is not promoted: no store of models is needed
        )
        read, prepared = read_and_prepare(listed)
        dataset = prepared.outputs["dataset"]
        fitted = fit_feature_extractor(
            extractor_settings=listed.outputs["extractor"], seed=listed.outputs["seed"], dataset=dataset
        )
        with dsl.ParallelFor(models, name="families") as model:
            trained = train_model(training=model.training, dataset=dataset)
            exported = export_model(
                recipe=model.recipe, pipeline_run_id=this_run, checkpoint=trained.outputs["checkpoint"]
            )
            evaluated = evaluate_model(
                gate=model.gate,
                recipe_name=model.recipe_title,
                model_name="",
                dataset=dataset,
                extractor=fitted.outputs["extractor"],
                bundle=exported.outputs["bundle"],
            )
        compared = compare_models(
            dataset=dataset,
            bundles=dsl.Collected(exported.outputs["bundle"]),
            reports=dsl.Collected(evaluated.outputs["report"]),
        )
        tasks = (listed, read, prepared, fitted, trained, exported, evaluated, compared)
        set_up(tasks, COMPARISON_STAGES, image=image, retries=retries, around=around, on_cluster=not run_id)
        trained.set_cpu_request(around.training_cpus)
        trained.set_memory_request(around.training_memory).set_memory_limit(around.training_memory)
        if around.checkpoint_uri:
            trained.set_env_variable(environment.CHECKPOINT_URI, around.checkpoint_uri)
        # Two comparisons of the same at the same time keep their checkpoints apart by it.
        tell_run(trained, run_id)
        if accelerators:
            # Fixed here and no run parameter: kfp.local hands no outer parameter to a loop's resources.
            trained.set_accelerator_type(around.accelerator_type).set_accelerator_limit(accelerators)

    return compare_families
