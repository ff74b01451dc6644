"""KFP adapter of the run's end."""

from kfp import dsl

from components.image import BASE_IMAGE


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def conclude_run(pipeline_run_id: str, status: dsl.PipelineTaskFinalStatus):
    """End the MLflow run that a failed or cancelled step left open. It runs whatever became of the others."""
    from components.conclude.core import conclude
    from components.step import say, step

    with step():
        say(conclude(pipeline_run_id, status.state, status.error_message or ""))
