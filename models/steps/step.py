"""What every family's training step offers to the loop around it."""

from __future__ import annotations

import contextlib
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from models.errors import TrainingError
from models.steps.batch import Batch, Moment

Wrap = Callable[[nn.Module], nn.Module]
"""Makes a network's gradients agree between processes (DistributedDataParallel), or does nothing."""


def _alone(network: nn.Module) -> nn.Module:
    return network


@dataclass(frozen=True)
class Execution:
    """How updates are computed; what they compute does not depend on it."""

    device: torch.device
    wrap: Wrap = _alone
    processes: int = 1
    accumulation: int = 1
    """Parts of a batch; their gradients are summed before the optimizer moves."""
    bfloat16: bool = False
    compiled: bool = False

    def place(self, network: nn.Module) -> None:
        """Move a network to the device, with the memory format that convolutions are fastest in."""
        # The stubs of torch know only one of the two arguments at a time.
        network.to(self.device).to(memory_format=torch.channels_last)

    def wrapped(self, network: nn.Module, *, may_compile: bool = True) -> nn.Module:
        """The network as updates call it: compiled where asked, its gradients averaged over all processes."""
        if self.compiled and may_compile:
            network.compile()  # in place: names of parameters, and so checkpoints, stay as they are
        return self.wrap(network)

    def autocast(self) -> AbstractContextManager[None]:
        """Products in bfloat16 within, where asked; parameters, losses and penalties stay float32."""
        if not self.bfloat16:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def parts(self, rows: int, network: nn.Module) -> Iterator[slice]:
        """Equal slices of a batch. Processes exchange the network's gradients at the last one alone.

        Raises:
            ValueError: if ``rows`` is not a multiple of the parts.
        """
        if rows % self.accumulation:
            raise ValueError(f"{rows} rows cannot be split into {self.accumulation} equal parts")
        size = rows // self.accumulation
        for index in range(self.accumulation):
            silent = getattr(network, "no_sync", None) if index < self.accumulation - 1 else None
            with silent() if silent is not None else contextlib.nullcontext():
                yield slice(index * size, (index + 1) * size)

    def mean_over_processes(self, value: Tensor) -> Tensor:
        """The mean over all processes of what each has of one shape, on the device."""
        if self.processes > 1:
            value = value.clone()
            torch.distributed.all_reduce(value)
            value /= self.processes
        return value


@dataclass(frozen=True)
class Draws:
    """The noise of one update, as a function of (seed, update, purpose) alone.

    Every process draws the whole batch's noise and keeps its own rows: two processes see what one would have
    seen, and going on from a checkpoint needs no generator's state.
    """

    seed: int
    update: int
    rank: int
    processes: int
    device: torch.device
    purpose: str = ""

    def named(self, purpose: str) -> Draws:
        """Independent draws for one part of the update."""
        return replace(self, purpose=f"{self.purpose}{purpose}/")

    def normal(self, purpose: str, rows: int, columns: int) -> Tensor:
        """Standard normal noise for this process's ``rows`` of the batch, [rows, columns]."""
        return self._mine(
            torch.randn(rows * self.processes, columns, generator=self._generator(purpose), device=self.device), rows
        )

    def uniform(self, purpose: str, rows: int, columns: int) -> Tensor:
        """Uniform numbers in [0, 1) for this process's ``rows`` of the batch, [rows, columns]."""
        return self._mine(
            torch.rand(rows * self.processes, columns, generator=self._generator(purpose), device=self.device), rows
        )

    def _generator(self, purpose: str) -> torch.Generator:
        digest = hashlib.sha256(f"{self.seed}/{self.update}/{self.purpose}{purpose}".encode()).digest()
        return torch.Generator(self.device).manual_seed(int.from_bytes(digest[:8], "little", signed=True))

    def _mine(self, noise: Tensor, rows: int) -> Tensor:
        return noise[self.rank * rows : (self.rank + 1) * rows]


class TrainingStep(ABC):
    """One family's networks, optimizers and update."""

    batches_per_update: int = 1
    """Real batches that one update consumes."""

    value_range: tuple[float, float] = (0.0, 1.0)
    """What the darkest and the brightest pixel are to this family's networks."""

    selection: str
    """The number among :meth:`diagnose`'s that is lowest at the best checkpoint."""

    networks: dict[str, nn.Module]
    """Everything that a checkpoint keeps, by name; averaged copies end in ``_ema``."""

    optimizers: dict[str, torch.optim.Optimizer]

    @abstractmethod
    def update(self, batches: list[Batch], draws: Draws, moment: Moment) -> None:
        """Move every network once.

        Args:
            batches: ``batches_per_update`` real batches as the family takes them.
            draws: this update's noise.
            moment: where training stands, and what that scales.

        Raises:
            TrainingError: if a loss is not finite; nothing has been moved by it then.
        """

    @abstractmethod
    def report(self) -> dict[str, float]:
        """The latest losses by name. On an accelerator this waits for the device, and updates do not."""

    @abstractmethod
    def diagnose(self, train: Batch, held_out: Batch, draws: Draws) -> dict[str, float]:
        """Diagnostics that are too dear for every update, on samples of both splits. They move nothing."""

    @abstractmethod
    def sample(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """Samples of the averaged network in [0, 1] (vectors: as they are), [N, Z] → [N, *sample_shape].

        Args:
            latent: [N, Z].
            labels: int64 [N], for a conditional model.
        """

    @property
    @abstractmethod
    def latent_size(self) -> int:
        """Components of z."""


def require_finite(name: str, loss: Tensor, moment: Moment, execution: Execution) -> None:
    """Stop before the optimizer moves when a loss is not finite.

    On an accelerator asking would wait for the device at every update, and of several processes one alone would
    leave: there the loop asks at every report instead, and goes back to a checkpoint from before.

    Raises:
        TrainingError: naming the term and the moment.
    """
    if execution.device.type != "cpu" or execution.processes > 1:
        return
    if not bool(torch.isfinite(loss)):
        raise TrainingError(
            f"The {name} loss became {float(loss.detach())} after {moment.images_seen:,} images.",
            "Lower the learning rate or raise the penalties, then train again.",
        )


def has_finite_weights(networks: dict[str, nn.Module]) -> bool:
    """Whether every number that a checkpoint would keep is finite. Waits for the device."""
    tensors = (tensor for network in networks.values() for tensor in network.state_dict().values())
    return bool(torch.stack([torch.isfinite(tensor).all() for tensor in tensors]).all())


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set the learning rate of every group, times the group's own ``rate_factor``."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group.get("rate_factor", 1.0)


@torch.no_grad()
def update_average(
    average: nn.Module, network: nn.Module, *, half_life_images: int, batch_size: int, images_seen: int
) -> None:
    """Exponential moving average of weights with its half-life counted in images.

    While training is young the half-life is a twentieth of what has been seen, so that the average forgets the
    start (the ramp-up of Karras et al. 2020, StyleGAN2-ADA).
    """
    half_life = min(float(half_life_images), max(images_seen * 0.05, 1e-8))
    decay = 0.5 ** (batch_size / half_life)
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1.0 - decay)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Gradients flow through the network but not into it, for the length of a ``with`` block."""
    parameters = list(network.parameters())
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


@contextmanager
def in_evaluation(network: nn.Module) -> Iterator[None]:
    """The network as it is judged: spectral norm's power iteration, for one, does not move."""
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)


def gradient_norm(network: nn.Module) -> float:
    """Length of the latest update's gradient over all parameters; 0 before the first."""
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    if not gradients:
        return 0.0
    return float(torch.stack(torch._foreach_norm(gradients)).square().sum().sqrt())
