"""Variables by which a run tells its steps what is no input of theirs.

The engine keys its cache on a step's inputs. What only says for whom a step works would make each run compute again
what it has already; a variable is not in the key.
"""

from __future__ import annotations

PIPELINE_RUN_ID = "GANVAS_PIPELINE_RUN_ID"
"""The run of the graph that training's live curves belong to."""
MODEL_NAME = "GANVAS_MODEL_NAME"
"""The registered name, whose MLflow experiment those curves are shown in."""
CHECKPOINT_URI = "GANVAS_CHECKPOINT_URI"
"""Where training copies its checkpoints to, so that a retried pod goes on from them."""
CODE_REVISION = "GANVAS_CODE_REVISION"
"""What the code was, for the lineage."""
TRACKING_URI = "MLFLOW_TRACKING_URI"
"""The MLflow store."""
RUN_URL = "GANVAS_RUN_URL"
"""The page of the engine's UI for a run, with ``{run_id}`` in the place of its id."""
MLFLOW_URL = "GANVAS_MLFLOW_URL"
"""MLflow's UI as people reach it, for links; where it is not set, the store's own address."""
CACHE = "GANVAS_CACHE"
"""A directory for what need not be computed twice on this machine; nothing is kept where it is not set."""
S3_ENDPOINT, S3_REGION = "AWS_ENDPOINT_URL", "AWS_REGION"
"""The S3 server, where it is not AWS' own, and the region that it asks for."""
CLUSTER = "GANVAS_CLUSTER"
"""What training on several nodes needs to know of its cluster: JSON of :class:`components.cluster.ClusterSettings`."""
JOB = "GANVAS_JOB"
"""What a node of several trains: JSON of :class:`components.train.worker.Job`."""
