"""KFP adapter of the run's end."""

from kfp import dsl

from components.image import BASE_IMAGE


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def conclude_run(pipeline_run_id: str, status: dsl.PipelineTaskFinalStatus):
    """End what a failed or cancelled step left: its TrainJob, its MLflow run. It runs whatever became of the others."""
    import os

    from components.conclude.core import conclude
    from components.launch.leftovers import delete_left_jobs
    from components.step import say, step

    with step():
        left = delete_left_jobs(pipeline_run_id, os.environ)  # first: machines cost more than an open run
        say(f"{left} {conclude(pipeline_run_id, status.state, status.error_message or '')}")
