"""The processes that train together, and the device each has."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from components.cores import available_cores

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process among those that train together, as torchrun numbers them."""

    rank: int
    count: int
    device: torch.device
    local_rank: int = 0
    """Among the processes of this machine."""

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network with gradients averaged over all processes."""
        if self.count == 1:
            return network
        # A layer of one output has gradients whose strides can be read two ways; nothing is lost by it.
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        # No buffers are trained, and every parameter is used in every forward.
        return DistributedDataParallel(network, forward_sync_buffers=False, gradient_as_bucket_view=True)

    def first_ones(self, value: T) -> T:
        """The first process's value, in all of them."""
        if self.count == 1:
            return value
        values = [value]
        torch.distributed.broadcast_object_list(values, src=0, device=self.device)
        return values[0]

    def any_of(self, condition: bool) -> bool:
        """Whether it holds in any process."""
        if self.count == 1:
            return condition
        flag = torch.tensor(int(condition), device=self.device)
        torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
        return bool(flag)

    def wait_for_all(self) -> None:
        """Return when every process is here."""
        if self.count > 1:
            torch.distributed.barrier()


def is_lost_peer(error: RuntimeError) -> bool:
    """Whether a collective failed because another process is gone; gloo has no error of its own."""
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error)


def _threads_asked(local_count: int) -> int:
    """What ``OMP_NUM_THREADS`` asks of a process that is alone, 0 if nothing: others may need the other cores.

    torchrun sets it to 1 for its children, whoever asked for it.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if local_count == 1 and asked.isdecimal() else 0


@contextmanager
def joined_processes(threads_per_process: int) -> Iterator[Processes]:
    """Join the process group that torchrun describes in the environment, or be alone.

    Args:
        threads_per_process: CPU threads of this process; 0 takes what
            ``OMP_NUM_THREADS`` says to a process that is alone, and else shares the cores evenly.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    local_count = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda", local_rank) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    torch.set_num_threads(
        threads_per_process or _threads_asked(local_count) or max(1, available_cores() // local_count)
    )
    if count == 1:
        yield Processes(0, 1, device)
        return
    torch.distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield Processes(rank, count, device, local_rank)
    finally:
        torch.distributed.destroy_process_group()
