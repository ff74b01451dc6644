"""Settings of the server: ``GANVAS_SERVE_*`` in the environment, overridden by flags."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from serving.cores import available_cores
from serving.errors import UsageError

ENVIRONMENT_PREFIX = "GANVAS_SERVE_"
_PASSWORD = re.compile(r"(://)[^/@\s]*@")


class Settings(BaseSettings):
    """What is served, from where, and within which limits."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, extra="forbid", frozen=True)

    models: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="registered models; in the environment separated by commas"
    )
    alias: str = Field(default="champion", min_length=1, description="the alias that is followed")
    tracking_uri: str = Field(default="", description="default: MLFLOW_TRACKING_URI, else ./runs/mlflow.db")
    bundle: Path | None = Field(default=None, description="serve this directory instead of a registry")
    name: str = Field(default="", description="name of the bundle's model; default: the recipe in its lineage")
    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8000, ge=0, le=65535, description="0 takes a free one")
    grpc_port: int | None = Field(
        default=None, ge=0, le=65535, description="port of gRPC on the same address, 0 for a free one; default: no gRPC"
    )
    admin_port: int | None = Field(
        default=None, ge=0, le=65535, description="port of the admin routes, 0 for a free one; default: none"
    )
    admin_host: str = Field(default="127.0.0.1", min_length=1, description="address of the admin routes")
    auth_token_file: Path | None = Field(
        default=None, description="file of bearer tokens, one a line; read again when it changes; default: open to all"
    )

    log_format: Literal["auto", "text", "json"] = Field(
        default="auto", description="auto: text on a terminal, else one JSON object a line"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="least level logged")
    access_log: bool = Field(default=False, description="log every request; errors are logged, sampled, anyhow")

    device: Literal["cpu", "cuda"] = Field(default="cpu", description="where graphs run; a GPU that is not there fails")
    mode: Literal["throughput", "latency"] = Field(
        default="throughput", description="on the CPU: a run for each core, or all cores for one run"
    )
    instances: PositiveInt | None = Field(
        default=None, description="runs of each model at a time; by default what mode says, and one on a GPU"
    )
    gpu_memory_bytes: int = Field(default=0, ge=0, description="memory of a GPU that a graph may take; 0 for no limit")
    cuda_graphs: bool = Field(default=False, description="on a GPU: record each batch size once and replay it")
    require_verdict: bool = Field(default=False, description="refuse versions whose verdict is not 'passed'")
    poll_seconds: PositiveFloat = Field(default=5.0, description="time between two looks at the alias")
    download_seconds: PositiveFloat = Field(default=600.0, description="time that a version's files get to arrive")
    drain_seconds: float = Field(
        default=1.0, ge=0, description="after SIGTERM: time of 'not ready' before the socket closes"
    )
    shutdown_seconds: PositiveInt = Field(default=30, description="time that requests in flight get to finish")

    receive_seconds: PositiveFloat = Field(
        default=30.0, description="time that the head of a request gets to arrive, and then its body"
    )
    send_seconds: PositiveFloat = Field(
        default=30.0, description="time in which a client takes at least 64 KiB of an answer that waits for it"
    )
    max_body_bytes: PositiveInt = Field(default=8 << 20, description="largest body of a request")
    max_bodies_bytes: PositiveInt = Field(default=256 << 20, description="bodies held at a time, together")
    max_requests: PositiveInt = Field(default=256, description="requests decoded, computed or encoded at a time")
    max_images: PositiveInt = Field(default=256, description="samples in one answer of the images route")
    max_batch: PositiveInt = Field(default=64, description="rows in one infer request and in one run")
    max_queue: PositiveInt = Field(default=256, description="runs waiting for an instance of a model")
    max_connections: PositiveInt = Field(
        default=1024, description="HTTP connections that are served; more are told to come back"
    )
    timeout_seconds: PositiveFloat = Field(
        default=60.0, description="time in which the answer to a request must begin; its work is dropped then"
    )

    @field_validator("models", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if bool(self.models) == (self.bundle is not None):
            raise ValueError("name at least one registered model, or give --bundle DIR, and not both")
        if self.name and self.bundle is None:
            raise ValueError("--name goes with --bundle")
        if self.require_verdict and self.bundle is not None:
            raise ValueError("a bundle directory carries no verdict: require_verdict needs a registered model")
        if len(set(self.models)) != len(self.models):
            raise ValueError("a model is named twice")
        ports = [port for port in (self.port, self.grpc_port, self.admin_port) if port]
        if len(set(ports)) != len(ports):
            raise ValueError("port, grpc_port and admin_port are different ports")
        if self.max_body_bytes > self.max_bodies_bytes:
            raise ValueError(f"one body of {self.max_body_bytes} bytes exceeds max_bodies_bytes")
        runs = -(-self.max_images // self.max_batch)
        if runs > self.max_queue:
            raise ValueError(f"{self.max_images} images need {runs} runs at a time, max_queue holds {self.max_queue}")
        if any("/" in name or ":" in name for name in (*self.models, self.name)):
            raise ValueError("a model's name holds no '/' and no ':'")
        return self

    @property
    def runs_at_a_time(self) -> int:
        """Instances of each model."""
        if self.instances is not None:
            return self.instances
        return available_cores() if self.device == "cpu" and self.mode == "throughput" else 1

    @property
    def threads_of_a_run(self) -> int:
        """Threads of one run, so that all runs together use the cores once."""
        return max(1, available_cores() // self.runs_at_a_time) if self.mode == "latency" else 1

    @property
    def registry_uri(self) -> str:
        """Where the registry is; without any setting, where the pipeline's laptop runs keep theirs."""
        given = self.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "")
        return given or f"sqlite:///{Path('runs/mlflow.db').resolve()}"

    def masked(self) -> dict[str, Any]:
        """Every setting as JSON has it, without passwords in addresses."""
        values: dict[str, Any] = self.model_dump(mode="json")
        values["tracking_uri"] = _PASSWORD.sub(r"\1***@", values["tracking_uri"])
        return values


def read_settings(**flags: Any) -> Settings:
    """Settings from the environment and from the flags that were given (not None).

    Raises:
        UsageError: if a value is wrong, naming it.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        where = f"{field}: " if field else ""
        if field and field not in given:
            where = f"{ENVIRONMENT_PREFIX}{field.upper()}: "
        message = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{where}{message}.", "See python -m serving --help.") from error
