"""What a graph's steps find around them on a cluster: stores, credentials, sizes. Fixed when it is compiled."""

from __future__ import annotations

import re
from dataclasses import dataclass

from components import environment
from components.cluster import ClusterSettings, Machines
from components.listing.sizes import require_quantity
from models.errors import ConfigurationError
from pipelines.stages import HOUR, TRAIN, Stage

S3_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
MLFLOW_KEYS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
"""Keys of the Secrets, which are the variables' names."""
OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True)
class Surroundings:
    """The stores that steps reach, the Secrets that let them in, and training's sizes.

    Attributes:
        tracking_uri: the MLflow server as the pods reach it; empty where their environment names it, or for none.
        mlflow_secret: Secret with ``MLFLOW_TRACKING_USERNAME`` and ``MLFLOW_TRACKING_PASSWORD``; empty for none.
        checkpoint_uri: ``s3://`` prefix that training's checkpoints are copied to; empty for none.
        s3_endpoint: ``AWS_ENDPOINT_URL``; empty for AWS itself.
        s3_region: ``AWS_REGION``; empty where the server asks for none.
        s3_secret: Secret with ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``; empty for the pod's own identity.
        kfp_url: Kubeflow Pipelines' UI as people reach it, for links; empty for none.
        mlflow_url: MLflow's UI as people reach it, for links; empty where that is the tracking URI.
        accelerator_type: resource name of the accelerators, the parameter's default.
        training_cpus: Kubernetes quantity, the parameter's default.
        training_memory: likewise.
        training_hours: after which training is stopped; its checkpoints let the next run go on.
        progress_timeout_seconds: without a sign of life, after which a training on several machines is stopped.
        training_runtime: name of the TrainingRuntime of such a training; empty for those of ``deploy/``.
        training_service_account: of its pods; empty for the runtime's.
    """

    tracking_uri: str = ""
    mlflow_secret: str = ""
    checkpoint_uri: str = ""
    s3_endpoint: str = ""
    s3_region: str = ""
    s3_secret: str = ""
    kfp_url: str = ""
    mlflow_url: str = ""
    accelerator_type: str = "nvidia.com/gpu"
    training_cpus: str = TRAIN.cpus
    training_memory: str = TRAIN.memory
    training_hours: int = TRAIN.timeout_seconds // HOUR
    progress_timeout_seconds: int = 1_800
    training_runtime: str = ""
    training_service_account: str = ""

    def variables(self, stage: Stage) -> dict[str, str]:
        """Plain environment variables of a stage's pod."""
        run_url = f"{self.kfp_url.rstrip('/')}/#/runs/details/{{run_id}}" if self.kfp_url else ""
        mlflow = {
            environment.TRACKING_URI: self.tracking_uri,
            environment.RUN_URL: run_url,
            environment.MLFLOW_URL: self.mlflow_url,
        }
        storage = {environment.S3_ENDPOINT: self.s3_endpoint, environment.S3_REGION: self.s3_region}
        told = (mlflow if stage.asks_mlflow else {}) | (storage if stage.asks_storage else {})
        return {name: value for name, value in told.items() if value}

    def secrets(self, stage: Stage) -> dict[str, str]:
        """Environment variables of a stage's pod that come from Secrets: the Secret's name by the variable's."""
        mlflow = dict.fromkeys(MLFLOW_KEYS, self.mlflow_secret) if stage.asks_mlflow else {}
        storage = dict.fromkeys(S3_KEYS, self.s3_secret) if stage.asks_storage else {}
        return {name: secret for name, secret in (mlflow | storage).items() if secret}

    def cluster(self, image: str) -> ClusterSettings:
        """How the train step starts further machines: as it was started itself."""
        return ClusterSettings(
            image=image,
            secrets=self.secrets(TRAIN),
            environment=self.variables(TRAIN),
            runtime=self.training_runtime,
            service_account=self.training_service_account,
            timeout_seconds=self.training_hours * HOUR,
            progress_timeout_seconds=self.progress_timeout_seconds,
            machines=Machines(
                cpus=self.training_cpus, memory=self.training_memory, accelerator_type=self.accelerator_type
            ),
        )


def require_reachable(around: Surroundings) -> None:
    """Refuse what no pod could use.

    Raises:
        ConfigurationError: naming the option and the remedy.
    """
    uri, checkpoints = around.tracking_uri, around.checkpoint_uri
    if checkpoints and not checkpoints.startswith(("s3://", "minio://")):
        raise ConfigurationError(
            f"--checkpoint-uri {checkpoints} is lost with the pod that wrote it.",
            "Name a bucket's prefix, such as s3://training/checkpoints.",
        )
    if uri and not uri.startswith(("http://", "https://")):
        raise ConfigurationError(
            f"--tracking-uri {uri} is no server: each step's pod would have a file of its own.",
            "Name a server that the cluster reaches, such as http://mlflow.mlflow:5000.",
        )
    for option, kind, name in (
        ("--s3-secret", "Secret", around.s3_secret),
        ("--mlflow-secret", "Secret", around.mlflow_secret),
        ("--training-runtime", "TrainingRuntime", around.training_runtime),
        ("--training-service-account", "ServiceAccount", around.training_service_account),
    ):
        if name and not OBJECT_NAME.fullmatch(name):
            raise ConfigurationError(
                f"{option} {name} is no name of a {kind}.", "Use small letters, digits, - and ., such as ganvas-s3."
            )
    if around.training_hours < 1:
        raise ConfigurationError(
            f"--training-hours {around.training_hours} stops every training at once.", "Allow at least one hour."
        )
    if around.progress_timeout_seconds < 1:
        raise ConfigurationError(
            f"--progress-timeout-seconds {around.progress_timeout_seconds} stops every training at once.",
            "Allow some minutes: images are pulled and data are fetched in that time too.",
        )
    require_quantity("--training-cpus", around.training_cpus)
    require_quantity("--training-memory", around.training_memory)
