"""The messages of ``open_inference.proto`` as classes.

They live in a descriptor pool of their own: protobuf's default one holds each name once, and a client's
generated module in the same process (KServe's, Triton's) brings the same names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "inference"
SERVICE = f"{PACKAGE}.GRPCInferenceService"
_DESCRIPTORS = Path(__file__).with_name("open_inference.binpb")

# protobuf's classes are made at run time; no type checker knows their fields.
Message = Any


def _pool() -> descriptor_pool.DescriptorPool:
    files = descriptor_pb2.FileDescriptorSet.FromString(_DESCRIPTORS.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return pool


POOL = _pool()


def message_class(name: str) -> Message:
    """The class of a message, by its name within the package."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))


ModelInferRequest = message_class("ModelInferRequest")
ModelInferResponse = message_class("ModelInferResponse")
ModelMetadataResponse = message_class("ModelMetadataResponse")
ModelReadyResponse = message_class("ModelReadyResponse")
RepositoryIndexResponse = message_class("RepositoryIndexResponse")
ServerLiveResponse = message_class("ServerLiveResponse")
ServerMetadataResponse = message_class("ServerMetadataResponse")
ServerReadyResponse = message_class("ServerReadyResponse")


def methods() -> dict[str, tuple[Message, Message]]:
    """Every method of the service: the classes of its request and of its answer."""
    service = POOL.FindServiceByName(SERVICE)
    return {
        method.name: (message_class(method.input_type.name), message_class(method.output_type.name))
        for method in service.methods
    }
