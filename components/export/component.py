"""KFP adapter of export."""

from kfp import dsl

from components.image import BASE_IMAGE


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def export_model(
    recipe: str,
    pipeline_run_id: str,
    checkpoint: dsl.Input[dsl.Model],
    bundle: dsl.Output[dsl.Model],
):
    """Write the averaged networks as ONNX and prove that onnxruntime agrees with torch."""
    from pathlib import Path

    from components.export.core import export
    from components.recipe import parse_recipe
    from components.step import step

    with step(bundle):
        signature = export(
            Path(checkpoint.path),
            Path(bundle.path),
            recipe=parse_recipe(recipe),
            pipeline_run_id=pipeline_run_id,
        )
        bundle.metadata["max_absolute_error"] = signature.parity.max_absolute_error
