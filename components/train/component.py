"""KFP adapter of training."""

from kfp import dsl

from components.image import BASE_IMAGE


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def train_model(
    training: str,
    dataset: dsl.Input[dsl.Dataset],
    checkpoint: dsl.Output[dsl.Model],
    machines: str = "",
):
    """Train one family until its budget of images is spent. Cached on the dataset's fingerprint.

    What further machines are asked for is an input, as the sizes of this step's own pod are.
    For which run and model it works, and where it copies its checkpoints to, is no input, or each run would train again: the environment tells it.
    """
    import os
    from pathlib import Path

    import components.train.worker  # noqa: F401  # imports torch: the interpreter's time, not training's
    from components import environment
    from components.cluster import cluster_settings
    from components.launch import launch_training
    from components.recipe import parse_recipe
    from components.step import step

    with step(checkpoint):
        finished = launch_training(
            parse_recipe(training),
            Path(dataset.path),
            Path(checkpoint.path),
            checkpoint_uri=os.environ.get(environment.CHECKPOINT_URI, ""),
            model_name=os.environ.get(environment.MODEL_NAME, ""),
            pipeline_run_id=os.environ.get(environment.PIPELINE_RUN_ID, ""),
            dataset_uri=dataset.uri,
            cluster=cluster_settings(os.environ, machines),
        )
        checkpoint.metadata.update(images_seen=finished.images_seen, weights_sha256=finished.weights_sha256)
