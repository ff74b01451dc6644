"""onnxruntime's sessions: on the CPU as they are, on a GPU with buffers of fixed sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime

from serving.errors import BundleError
from serving.predict.buckets import BucketedSession

Array = npt.NDArray[Any]
Device = Literal["cpu", "cuda"]

_PROVIDERS: dict[Device, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class Session(Protocol):
    """A graph that can be run from several threads at a time."""

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
        """Outputs by name."""

    def get_providers(self) -> list[str]:
        """The active one first."""

    def get_inputs(self) -> Any:
        """Nodes with a name and a type."""

    def get_outputs(self) -> Any:
        """Nodes with a name and a type."""


@dataclass(frozen=True)
class Execution:
    """Where and how graphs run.

    Attributes:
        threads: of one run, on the CPU.
        memory_bytes: of a GPU that one graph may take; 0 for no limit.
        cuda_graphs: record each batch size once and replay it, on a GPU.
        max_batch: rows of the largest batch, on a GPU.
    """

    device: Device = "cpu"
    threads: int = 1
    memory_bytes: int = 0
    cuda_graphs: bool = False
    max_batch: int = 64


def open_session(name: str, content: bytes, execution: Execution) -> Session:
    """A session for a graph.

    Raises:
        BundleError: if the graph does not load, or not where it was demanded.
    """
    onnxruntime.disable_telemetry_events()  # builds for Linux report home too, unless told not to
    options = onnxruntime.SessionOptions()
    # No spinning threads: they take from the others what they do not use.
    options.intra_op_num_threads, options.inter_op_num_threads = execution.threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    provider = _PROVIDERS[execution.device]
    providers: list[Any] = [provider]
    if execution.device == "cuda":
        onnxruntime.preload_dlls()
        providers = [(provider, _cuda_options(execution)), _PROVIDERS["cpu"]]
    try:
        session = onnxruntime.InferenceSession(content, options, providers=providers)
    except Exception as error:  # onnxruntime raises a dozen classes without a common base
        raise BundleError(f"onnxruntime cannot load {name}: {first_line(error)}", "Export the bundle again.") from error
    # A provider that fails to start is left out silently; asking is the only way to know.
    active = session.get_providers()[0]
    if active != provider:
        raise BundleError(
            f"{execution.device} was demanded and {name} would run on {active}.",
            "Check the driver, or set GANVAS_SERVE_DEVICE=cpu.",
        )
    if execution.device == "cuda":
        return open_buckets(name, session, "cuda", execution)
    found: Session = session
    return found


def open_buckets(name: str, session: onnxruntime.InferenceSession, device: Device, execution: Execution) -> Session:
    """A session with the buffers of every batch size, each of which was run.

    Raises:
        BundleError: if the graph cannot be run so: an axis beside the batch is not fixed, or the memory is too small.
    """
    try:
        return BucketedSession(session, device, execution.max_batch, graphs=execution.cuda_graphs)
    except Exception as error:  # as above; and numpy's and Python's own for a type or a shape that no buffer has
        raise BundleError(f"{name} cannot be run in batches of fixed sizes: {first_line(error)}.") from error


def _cuda_options(execution: Execution) -> dict[str, str]:
    options = {
        "cudnn_conv_algo_search": "HEURISTIC",  # an exhaustive search takes minutes at each batch size
        "arena_extend_strategy": "kSameAsRequested",
        "use_tf32": "0",  # one seed gives one picture
        "enable_cuda_graph": "1" if execution.cuda_graphs else "0",
    }
    if execution.memory_bytes:
        options["gpu_mem_limit"] = str(execution.memory_bytes)
    return options


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def zeros(shape: tuple[int, ...], dtype: str, rows: int) -> Array:
    """An input of so many rows for a tensor [-1, ...]."""
    return np.zeros((rows, *shape[1:]), dtype=dtype)
