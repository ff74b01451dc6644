"""How a Kubeflow Pipelines server is named on the command line, as kfp's own client names it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pipelines.cli.option_groups import Command, takes_group
from pipelines.remote.server import Address

ExperimentOption = Annotated[str, typer.Option("--experiment", help="KFP experiment; made if it is missing.")]
ParameterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--parameter", metavar="NAME=VALUE", help="A parameter of the graph, e.g. accelerator_count=1. Repeatable."
    ),
]
ServiceAccountOption = Annotated[
    str, typer.Option("--service-account", help="Of the steps; by default the server's, pipeline-runner.")
]
OPTIONS: dict[str, Any] = {
    "host": typer.Option("--host", envvar=["KFP_HOST", "KFP_ENDPOINT"], help="URL of the server."),
    "namespace": typer.Option("--namespace", envvar="KFP_NAMESPACE", help="Yours, on a server with several users."),
    "token": typer.Option(
        "--existing-token",
        envvar="KFP_EXISTING_TOKEN",
        help="Bearer token, on a server that wants one.",
        metavar="TOKEN",
    ),
    "token_file": typer.Option(
        "--token-file",
        envvar="KF_PIPELINES_SA_TOKEN_PATH",
        help="File with such a token, read again for each request.",
        metavar="FILE",
    ),
    "cookies": typer.Option(
        "--cookies",
        envvar="KFP_COOKIES",
        help="NAME=VALUE of the login's cookie, on a server behind a page to log in at.",
        metavar="TEXT",
    ),
    "ca_certificate": typer.Option(
        "--ssl-ca-cert", envvar="KFP_SSL_CA_CERT", help="File with the server's authority.", metavar="FILE"
    ),
}
"""By the fields of :class:`Address`."""


def takes_address(command: Command) -> Command:
    """Give a command these options in the place of its parameter ``at``."""
    return takes_group(command, "at", OPTIONS, {name: "" for name in OPTIONS if name != "host"}, _address)


def _address(host: str, **more: str) -> Address:
    return Address(host.strip().rstrip("/"), **more)
