"""KFP adapter of promotion."""

from kfp import dsl

from components.image import BASE_IMAGE


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def promote_model(
    model_name: str,
    automatic_promotion: bool,
    pipeline_run_id: str,
    checkpoint: dsl.Input[dsl.Model],
    bundle: dsl.Input[dsl.Model],
    report: dsl.Input[dsl.Artifact],
    promotion: dsl.Output[dsl.Markdown],
):
    """Register the version with its verdict; move the alias that it earned; fail where the gate said no."""
    from pathlib import Path

    from components.promote.core import promote
    from components.step import say, step
    from components.tracking import require_lasting_store
    from models.errors import GateFailed

    with step(promotion):
        require_lasting_store()
        result = promote(
            Path(bundle.path),
            Path(report.path),
            model_name,
            automatic=automatic_promotion,
            pipeline_run_id=pipeline_run_id,
            checkpoint=Path(checkpoint.path),
        )
        alias = result.decision.alias or "no alias"
        line = f"{result.model_name} version {result.version}: {alias} ({result.decision.reason})"
        say(line)
        promotion.metadata.update(version=result.version, alias=result.decision.alias or "")
        Path(promotion.path).write_text(f"{line}\n\nMLflow run `{result.mlflow_run_id}`\n")
        if not result.decision.passed:
            raise GateFailed(line, "Read the report; the version is registered, no alias moved.")
