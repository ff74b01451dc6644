"""What becomes of an MLflow run whose pipeline run is over."""

from __future__ import annotations

from typing import Literal

from components.tracking import Tracking, is_server, tracking_uri
from models.errors import TrackingError

ENDED_BY_TAG = "ganvas.ended_by"
UNSAID = "a step did not succeed; the engine's page of the run says which"


def end_of(state: str) -> Literal["KILLED", "FINISHED", "FAILED"]:
    """MLflow's word for the end of a run that was left open, from the engine's final state.

    Promotion ends the MLflow run of every pipeline run that came so far. One that is open was cancelled or failed, also
    where an engine says "running" of its last steps, as some releases do; only its word of success is taken.
    """
    if state.upper() == "SUCCEEDED":
        return "FINISHED"
    return "KILLED" if state.upper().startswith("CANCEL") else "FAILED"


def conclude(pipeline_run_id: str, state: str, message: str, tracking: Tracking | None = None) -> str:
    """End every MLflow run that this pipeline run left open; what was done, in one line.

    A store that does not answer fails no run: by then everything is decided.

    Args:
        pipeline_run_id: by which its MLflow runs are found.
        state: the engine's final state, such as ``FAILED`` or ``CANCELLED``.
        message: why, in the engine's words; may be empty.
        tracking: the store; by default the one that the environment names.
    """
    if tracking is None and not is_server(tracking_uri()):
        return "There is no MLflow server, so no run was left open in one."
    try:
        store = tracking or Tracking()
        left_open = store.open_runs(pipeline_run_id)
        for run_id in left_open:
            store.end_run(run_id, end_of(state), {ENDED_BY_TAG: f"{state}: {message or UNSAID}"})
    except TrackingError as error:
        return f"The MLflow run stays as it is: {error}"
    if not left_open:
        return "No MLflow run was left open."
    return f"MLflow run {', '.join(left_open)}: {end_of(state)}."
