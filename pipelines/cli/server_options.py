"""How a Kubeflow Pipelines server is named on the command line, as kfp's own command names it."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.remote.server import Address

HostOption = Annotated[str, typer.Option("--host", envvar=["KFP_HOST", "KFP_ENDPOINT"], help="URL of the server.")]
NamespaceOption = Annotated[
    str, typer.Option("--namespace", envvar="KFP_NAMESPACE", help="Yours, on a server with several users.")
]
TokenOption = Annotated[
    str,
    typer.Option(
        "--existing-token",
        envvar="KFP_EXISTING_TOKEN",
        help="Bearer token, on a server that wants one.",
        metavar="TOKEN",
    ),
]
CertificateOption = Annotated[
    str, typer.Option("--ssl-ca-cert", envvar="KFP_SSL_CA_CERT", help="File with the server's authority.")
]
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


def address(host: str, namespace: str, token: str, certificate: str) -> Address:
    """Where the server is and as whom it is spoken to."""
    return Address(host.strip().rstrip("/"), namespace, token, certificate)
