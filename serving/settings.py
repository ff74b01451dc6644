"""Settings of the server: flags go before ``GANVAS_SERVE_*`` in the environment, and that before a file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from serving.cores import available_cores
from serving.errors import UsageError
from serving.settings_file import read_settings_file
from serving.sources import AliasOf, ModelSource, VersionOf, check_name, parse_sources

ENVIRONMENT_PREFIX = "GANVAS_SERVE_"
FILE_VARIABLE = "GANVAS_SERVE_SETTINGS"
TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"
_ORIGIN = re.compile(r"https?://([a-z0-9._-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?")
_WHAT_IS_SERVED = frozenset({"models", "bundle", "name"})

Layer = tuple[str, Mapping[str, Any]]
"""A place that settings come from, and what it says."""


class Settings(BaseSettings):
    """What is served, from where, and within which limits."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    models: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="what is served: NAME, NAME@ALIAS, NAME/VERSION, NAME=DIR or NAME=s3://BUCKET/PREFIX; "
        "in the environment separated by commas",
    )
    alias: str = Field(default="champion", min_length=1, description="the alias that is followed")
    canary_alias: str = Field(default="challenger", min_length=1, description="the alias of a canary")
    canary_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="the canary's share, 0 .. 1, of the requests to a model that is followed by alias",
    )
    tracking_uri: str = Field(default="", description="default: MLFLOW_TRACKING_URI, else ./runs/mlflow.db")
    bundle: Path | None = Field(default=None, description="serve the bundle in this directory, and nothing else")
    name: str = Field(default="", description="name of the bundle's model; default: the recipe in its lineage")
    host: str = Field(default="127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(default=8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
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
    poll_seconds: PositiveFloat = Field(default=5.0, description="time between two looks at a model's source")
    download_seconds: PositiveFloat = Field(default=600.0, description="time that a version's files get to arrive")
    drain_seconds: float = Field(
        default=1.0, ge=0, description="after SIGTERM: time of 'not ready' before the socket closes"
    )
    shutdown_seconds: PositiveInt = Field(default=30, description="time that requests in flight get to finish")

    keep_alive_seconds: PositiveInt = Field(
        default=75, description="time that an idle connection is kept; longer than a proxy before it keeps its own"
    )
    receive_seconds: PositiveFloat = Field(
        default=30.0, description="time that the head of a request gets to arrive, and then its body"
    )
    send_seconds: PositiveFloat = Field(
        default=30.0, description="time in which a client takes at least 64 KiB of an answer that waits for it"
    )
    max_body_bytes: PositiveInt = Field(default=8 << 20, description="largest body of a request")
    max_bodies_bytes: PositiveInt = Field(default=256 << 20, description="bodies held at a time, together")
    max_requests: PositiveInt = Field(default=256, description="requests decoded, computed or encoded at a time")
    max_images: int = Field(
        default=256, ge=2, description="samples in one answer, 2 at least: an interpolation has two ends"
    )
    max_picture_pixels: PositiveInt = Field(default=1 << 24, description="pixels of a picture that is sent")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="origins whose pages may ask; in the environment separated by commas"
    )
    max_batch: PositiveInt = Field(default=64, description="rows in one infer request and in one run")
    max_queue: PositiveInt = Field(default=256, description="runs waiting for an instance of a model")
    max_connections: PositiveInt = Field(
        default=1024, description="HTTP connections that are served; more are told to come back"
    )
    timeout_seconds: PositiveFloat = Field(
        default=60.0, description="time in which the answer to a request must begin; its work is dropped then"
    )

    @field_validator("models", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is not an origin as browsers send it: https://host or https://host:port")
        return value

    @field_validator("models")
    @classmethod
    def _follow_the_grammar(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        parse_sources(value)
        return value

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        return check_name(value) if value else value

    @field_validator("bundle", mode="before")
    @classmethod
    def _is_a_directory(cls, value: object) -> object:
        if isinstance(value, str) and "://" in value:
            raise ValueError("it is a directory; for S3 name a model, NAME=s3://BUCKET/PREFIX")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if bool(self.models) == (self.bundle is not None):
            raise ValueError("name at least one registered model, or give --bundle DIR, and not both")
        if self.name and self.bundle is None:
            raise ValueError("--name goes with --bundle")
        if self.require_verdict and self.bundle is not None:
            raise ValueError("a bundle directory carries no verdict: require_verdict needs a registered model")
        ports = [port for port in (self.port, self.grpc_port, self.admin_port) if port]
        if len(set(ports)) != len(ports):
            raise ValueError("port, grpc_port and admin_port are different ports")
        sources = self.sources
        for source in sources:
            if self.require_verdict and not isinstance(source, AliasOf | VersionOf):
                raise ValueError(f"the bundle of {source.name!r} carries no verdict, and require_verdict asks for one")
        self._check_canary(sources)
        if self.max_body_bytes > self.max_bodies_bytes:
            raise ValueError(f"one body of {self.max_body_bytes} bytes exceeds max_bodies_bytes")
        runs = -(-self.max_images // self.max_batch)
        if runs > self.max_queue:
            raise ValueError(f"{self.max_images} images need {runs} runs at a time, max_queue holds {self.max_queue}")
        return self

    def _check_canary(self, sources: tuple[ModelSource, ...]) -> None:
        if not self.canary_share:
            return
        followed = [source.alias or self.alias for source in sources if isinstance(source, AliasOf)]
        if not followed:
            raise ValueError("canary_share needs a registered model that is followed by an alias")
        if self.canary_alias in followed:
            raise ValueError(f"the alias {self.canary_alias!r} cannot be a model's own and its canary's")

    @property
    def sources(self) -> tuple[ModelSource, ...]:
        """The models and where each comes from; none for ``bundle``, which has no name before it was read."""
        return parse_sources(self.models)

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
        given = self.tracking_uri or os.environ.get(TRACKING_VARIABLE, "")
        return given or f"sqlite:///{Path('runs/mlflow.db').resolve()}"


@dataclass(frozen=True)
class Resolved:
    """Settings, and by its name where each of them comes from."""

    settings: Settings
    origins: Mapping[str, str]


def read_settings(**flags: Any) -> Settings:
    """Settings from the environment, the file that it names, and the flags that were given (not None).

    Raises:
        UsageError: if a value is wrong, naming it.
    """
    return resolve_settings({name: value for name, value in flags.items() if value is not None}).settings


def resolve_settings(flags: Mapping[str, Any], file: Path | None = None) -> Resolved:
    """Settings from flags, else the environment, else a file, else their defaults.

    ``models`` and ``bundle`` say together what is served: the first place that has one of them answers for both,
    so that a bundle on the command line goes before models in the environment.

    Args:
        file: of settings; without one, that of ``GANVAS_SERVE_SETTINGS``.

    Raises:
        UsageError: if a value is wrong, naming it and its place.
    """
    if file is None and (named := os.environ.get(FILE_VARIABLE)):
        file = Path(named)
    layers: list[Layer] = [
        ("flag", flags),
        ("environment", {name: variable for name in Settings.model_fields if (variable := _variable(name))}),
        (f"file {file}", read_settings_file(file, Settings.model_fields) if file is not None else {}),
    ]
    origins, given = dict.fromkeys(Settings.model_fields, "default"), {}
    for origin, values in reversed(_without_overruled(layers)):
        for name, value in values.items():
            origins[name] = f"{origin} {value}" if origin == "environment" else origin
            given[name] = value
    try:
        # What pydantic finds in the environment by itself, it is given here only where it is not to look.
        own = {name: value for name, value in given.items() if not origins[name].startswith("environment ")}
        unset = {name: Settings.model_fields[name].default for name in _WHAT_IS_SERVED if origins[name] == "default"}
        settings = Settings(**unset, **own)
    except ValidationError as error:
        raise _wrong_value(error, origins) from error
    if not settings.tracking_uri and os.environ.get(TRACKING_VARIABLE):
        origins["tracking_uri"] = f"environment {TRACKING_VARIABLE}"
    return Resolved(settings, origins)


def _without_overruled(layers: Sequence[Layer]) -> list[Layer]:
    """The layers, first one first, without what one before them has decided about what is served."""
    left: list[Layer] = []
    overruled: frozenset[str] = frozenset()
    for origin, values in layers:
        left.append((origin, {name: value for name, value in values.items() if name not in overruled}))
        if not overruled and ("models" in values or "bundle" in values):
            # A name may still be told from below to a bundle, to which it belongs.
            overruled = _WHAT_IS_SERVED - {"name"} if "bundle" in values else _WHAT_IS_SERVED
    return left


def _variable(name: str) -> str:
    """The variable that gives a setting, as it is written; empty if there is none."""
    wanted = f"{ENVIRONMENT_PREFIX}{name}".lower()  # pydantic-settings knows no case
    return next((variable for variable, value in os.environ.items() if value and variable.lower() == wanted), "")


def _wrong_value(error: ValidationError, origins: Mapping[str, str]) -> UsageError:
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    place, _, detail = origins.get(path[0], "").partition(" ") if path else ("", "", "")
    where = f"{'.'.join(path)}: " if path else ""
    if place == "environment":
        where = f"{detail}: "
    elif place == "file":
        where = f"{detail}: {where}"
    message = first["msg"].removeprefix("Value error, ")
    return UsageError(f"{where}{message}.", "See python -m serving --help.")
