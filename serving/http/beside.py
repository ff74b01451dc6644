"""What listens beside the public address: gRPC and the admin routes, each only if it has a port."""

from __future__ import annotations

from serving.http.instrument import Instrument
from serving.http.server import Beside


def beside(app: Instrument) -> list[Beside]:
    """As the settings say; what is off is not imported."""
    found: list[Beside] = []
    settings = app.context.settings
    if settings.grpc_port is not None:
        from serving.grpc.server import GrpcServer

        found.append(GrpcServer(app.context, app.operations, host=settings.host, port=settings.grpc_port))
    if settings.admin_port is not None:
        from serving.http.admin import AdminServer

        found.append(AdminServer(app, host=settings.admin_host, port=settings.admin_port))
    return found
