"""KFP adapter of training."""

from kfp import dsl

from components.image import BASE_IMAGE


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def train_model(
    training: str,
    model_name: str,
    pipeline_run_id: str,
    dataset: dsl.Input[dsl.Dataset],
    checkpoint: dsl.Output[dsl.Model],
):
    """Train one family until its budget of images is spent. Cached on the dataset's fingerprint."""
    from pathlib import Path

    import components.train.worker  # noqa: F401  # imports torch: the interpreter's time, not training's
    from components.launch import launch_training
    from components.recipe import parse_recipe
    from components.step import step

    with step(checkpoint):
        finished = launch_training(
            parse_recipe(training),
            Path(dataset.path),
            Path(checkpoint.path),
            model_name=model_name,
            pipeline_run_id=pipeline_run_id,
        )
        checkpoint.metadata.update(images_seen=finished.images_seen, weights_sha256=finished.weights_sha256)
