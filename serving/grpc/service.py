"""The methods of ``GRPCInferenceService``: they translate between messages and arrays, and know no more."""

from __future__ import annotations

import asyncio

from serving.catalog import Served
from serving.errors import ModelNotReady
from serving.grpc.call import Call
from serving.http.context import Context
from serving.predict.batcher import Results
from serving.protocol.grpc import messages, tensors
from serving.protocol.grpc.messages import Message
from serving.protocol.metadata import EXTENSIONS, describe_model
from serving.software import software_version
from serving.split import Choice

_LARGE_BYTES = 1 << 16  # below it, a thread costs more than it frees


class Service:
    """Each method takes its request's message and the call, and gives the answer's message.

    Every ``RequestError`` that they raise becomes a status in ``serving.grpc.call``.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._catalog = context.catalog

    async def server_live(self, request: Message, call: Call) -> Message:
        """ServerLive: it answers."""
        return messages.ServerLiveResponse(live=True)

    async def server_ready(self, request: Message, call: Call) -> Message:
        """ServerReady: every model has a version, and nobody asked the server to stop."""
        return messages.ServerReadyResponse(ready=not self._catalog.not_ready_because())

    async def model_ready(self, request: Message, call: Call) -> Message:
        """ModelReady: the model has a version."""
        try:
            self._served(request.name, request.version, call)
        except ModelNotReady:
            return messages.ModelReadyResponse(ready=False)
        return messages.ModelReadyResponse(ready=True)

    async def server_metadata(self, request: Message, call: Call) -> Message:
        """ServerMetadata: name and version of the software."""
        return messages.ServerMetadataResponse(name="ganvas", version=software_version(), extensions=EXTENSIONS)

    async def model_metadata(self, request: Message, call: Call) -> Message:
        """ModelMetadata: tensors of all graphs together."""
        served = self._served(request.name, request.version, call)
        versions = self._catalog.versions(served, request.version)
        described = describe_model(served.name, versions, served.predictor.signature)
        kept = {key: described[key] for key in ("name", "versions", "platform", "inputs", "outputs")}
        return messages.ModelMetadataResponse(**kept)

    async def model_infer(self, request: Message, call: Call) -> Message:
        """ModelInfer: the answer's tensors go as the request's came, raw or typed."""
        self._served(request.model_name, request.model_version, call, call.choice)
        with self._context.admission:
            large = call.request_bytes > _LARGE_BYTES
            decode = tensors.decode_request
            query = await asyncio.to_thread(decode, request) if large else decode(request)
            raw = tensors.is_raw(request)
            with self._served(request.model_name, request.model_version, call, call.choice).lease() as served:

                def encode(results: Results) -> Message:
                    return tensors.encode_response(served.name, served.version, query.id, results, raw=raw)

                return await served.predictor.start(query.inputs, tuple(query.outputs), encode)

    async def repository_index(self, request: Message, call: Call) -> Message:
        """RepositoryIndex: every model, or those that are ready."""
        response = messages.RepositoryIndexResponse()
        for name, version, state, reason in self._catalog.index(ready_only=request.ready):
            response.models.add(name=name, version=version, state=state, reason=reason)
        return response

    def _served(self, name: str, version: str, call: Call, choice: Choice | None = None) -> Served:
        """The version that this call is for; its answer will name it.

        Raises:
            UnknownModel, ModelNotReady: if there is none.
        """
        served = self._catalog.get(name, version or None, choice)
        call.served = served
        return served
