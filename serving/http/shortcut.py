"""The way past Starlette for the addresses that are called most; what is not quite theirs takes the long way."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.http.asgi import Endpoint
from serving.http.context import Context
from serving.http.failures import guarded
from serving.http.routes import images, model


class _Template:
    """Stands for Starlette's route where the pattern of an address is asked for."""

    def __init__(self, path: str) -> None:
        self.path = path


class Shortcut:
    """ASGI middleware: ``infer`` with and without a version, and ``images``."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._infer = model.Infer(context)
        self._images = images.Images(context)
        self._templates = [_Template(prefix + "/infer") for prefix in model.PREFIXES]
        self._images_template = _Template(images.PATH)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http" and (endpoint := self._endpoint(scope)) is not None:
            await guarded(endpoint, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _endpoint(self, scope: Scope) -> Endpoint | None:
        match scope["path"].split("/"):
            case ["", "v2", "models", name, "infer"] if name and scope["method"] == "POST":
                scope["path_params"], scope["route"] = {"model": name}, self._templates[0]
                return self._infer
            case ["", "v2", "models", name, "versions", version, "infer"] if (
                name and version and scope["method"] == "POST"
            ):
                scope["path_params"], scope["route"] = {"model": name, "version": version}, self._templates[1]
                return self._infer
            case ["", "v1", "models", name, "images"] if name and scope["method"] == "GET":
                scope["path_params"], scope["route"] = {"model": name}, self._images_template
                return self._images
        return None
