"""What promotion says to people."""

from __future__ import annotations

from components.promote.core import Promotion

NOBODY_SERVES = (
    "It is registered in a store that is an artifact of this run, because no MLflow server was named: nothing serves "
    "from there. To keep it: ganvas promote --bundle DIR --report DIR with MLFLOW_TRACKING_URI."
)


def outcome(result: Promotion, *, alone: bool) -> str:
    """One line: the version, its alias and why.

    Args:
        result: of the promotion.
        alone: whether the store is an artifact of the run.
    """
    alias = result.decision.alias or "no alias"
    line = f"{result.model_name} version {result.version}: {alias} ({result.decision.reason})"
    return f"{line}. {NOBODY_SERVES}" if alone else line


def markdown(result: Promotion, pipeline_run_id: str, page: str, *, alone: bool) -> str:
    """The same for the engine's UI, with the MLflow run.

    Args:
        result: of the promotion.
        pipeline_run_id: the engine's run.
        page: of the MLflow run; empty where there is none.
        alone: whether the store is an artifact of the run.
    """
    run = f"[{result.mlflow_run_id}]({page})" if page else f"`{result.mlflow_run_id}`"
    return f"{outcome(result, alone=alone)}\n\nMLflow run {run} of pipeline run `{pipeline_run_id}`\n"
