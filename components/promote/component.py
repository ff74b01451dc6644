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
    store: dsl.Output[dsl.Artifact],
):
    """Register the version with its verdict; move the alias that it earned; fail where the gate said no.

    The store is an output of a run that no MLflow server was named to.
    """
    from pathlib import Path

    from components.promote.core import promote
    from components.promote.words import markdown, outcome
    from components.step import say, step
    from components.tracking import Tracking, vanishes_with_pod
    from components.tracking.place import sqlite_uri
    from models.errors import GateFailed

    with step(promotion):
        alone = vanishes_with_pod()
        tracking = Tracking(sqlite_uri(Path(store.path)) if alone else None)
        result = promote(
            Path(bundle.path),
            Path(report.path),
            model_name,
            automatic=automatic_promotion,
            pipeline_run_id=pipeline_run_id,
            checkpoint=Path(checkpoint.path),
            tracking=tracking,
        )
        page = tracking.page_of(result.mlflow_run_id)
        line = outcome(result, alone=alone)
        say(line)
        promotion.metadata.update(
            version=result.version,
            alias=result.decision.alias or "",
            mlflow_run_id=result.mlflow_run_id,
            mlflow_url=page,
        )
        Path(promotion.path).write_text(markdown(result, pipeline_run_id, page, alone=alone))
        if not result.decision.passed:
            raise GateFailed(line, "Read the report; the version is registered, no alias moved.")
