"""The one graph: list → read, share by share → prepare → train ∥ fit extractor → export → evaluate → promote.

Every recipe is this graph with other defaults of its parameters. On a cluster a last task concludes the run whatever
became of it; on one machine the runner does that itself.
"""

import contextlib
from typing import Any

from kfp import dsl, kubernetes

from components import environment
from components.conclude.component import conclude_run
from components.evaluate.component import evaluate_model
from components.export.component import export_model
from components.extractor.component import fit_feature_extractor
from components.image import BASE_IMAGE
from components.listing.component import list_source
from components.promote.component import promote_model
from components.recipe import Recipe
from components.train.component import train_model
from pipelines.limits import gate_limits_of
from pipelines.stages import CLUSTER_STAGES
from pipelines.surroundings import Surroundings
from pipelines.tasks import read_and_prepare, set_up, tell_run

PIPELINE_NAME = "ganvas-train-and-promote"
RETRIES = 2


def build_pipeline(
    recipe: Recipe,
    *,
    image: str = BASE_IMAGE,
    retries: int = RETRIES,
    around: Surroundings | None = None,
    run_id: str = "",
) -> Any:
    """The graph as a KFP pipeline with the recipe's values as the parameters' defaults.

    Args:
        recipe: whose values the parameters start from.
        image: what every component runs in; fixed when the pipeline is compiled.
        retries: how often a step that fails is run again, where that can help.
        around: the stores, Secrets and sizes on a cluster; by default none and the stages' own.
        run_id: the run's id where it is known; empty on a cluster, which gives it.
    """
    limits = gate_limits_of(recipe)
    around = around or Surroundings()
    on_cluster = not run_id

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
        accelerator_type: str = around.accelerator_type,
        accelerator_count: int = 0,
        nodes: int = recipe.resources.nodes,
        training_cpus: str = around.training_cpus,
        training_memory: str = around.training_memory,
        tolerations: list = [],  # type: ignore[type-arg]  # noqa: B006
        node_selector: dict = {},  # type: ignore[type-arg]  # noqa: B006
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
            accelerator_count: Number of GPUs on each training machine, one process for each; 0 trains on the CPU.
            nodes: Machines that train together; more than one are a TrainJob of Kubeflow Trainer.
            training_cpus: CPU cores that each training machine asks for, as a Kubernetes quantity such as 4 or 500m.
            training_memory: Memory that each training machine asks for and may use, such as 16Gi.
            tolerations: Taints that the training pods tolerate, as a JSON list of Kubernetes tolerations.
            node_selector: Labels of the machines that the training pods may run on, as JSON.
            overrides: Further fields of the recipe by dotted path, as JSON, such as {"model.latent_size": 128}.
            recipe_json: The complete recipe that all other parameters start from.
        """
        this_run = run_id or dsl.PIPELINE_JOB_ID_PLACEHOLDER
        # The engine's MLflow run would be left open by a step that fails; see components/conclude.
        concluded = conclude_run(pipeline_run_id=this_run) if on_cluster else None
        with dsl.ExitHandler(concluded, name="run") if concluded else contextlib.nullcontext():
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
                accelerator_type=accelerator_type,
                training_cpus=training_cpus,
                training_memory=training_memory,
                tolerations=tolerations,
                node_selector=node_selector,
                overrides=overrides,
                registers=True,
            )
            read, prepared = read_and_prepare(listed)
            dataset = prepared.outputs["dataset"]
            trained = train_model(
                training=listed.outputs["training"], dataset=dataset, machines=listed.outputs["machines"]
            )
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
        tasks = [listed, read, prepared, trained, fitted, exported, evaluated, promoted]
        if concluded:
            tasks.append(concluded)
        set_up(tasks, CLUSTER_STAGES, image=image, retries=retries, around=around, on_cluster=on_cluster)
        trained.set_accelerator_type(listed.outputs["accelerator_type"])
        trained.set_accelerator_limit(listed.outputs["accelerators"]).set_cpu_request(listed.outputs["cpus"])
        trained.set_memory_request(listed.outputs["memory"]).set_memory_limit(listed.outputs["memory"])
        trained.set_env_variable(environment.MODEL_NAME, recipe.model_name)
        if around.checkpoint_uri:
            trained.set_env_variable(environment.CHECKPOINT_URI, around.checkpoint_uri)
        tell_run(trained, run_id)
        if on_cluster:
            kubernetes.add_toleration_json(trained, tolerations)
            kubernetes.add_node_selector_json(trained, node_selector)

    return train_and_promote
