"""What the tests of the steps share: small networks, the draws of one process, everything that a step keeps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.config import ConvolutionalSettings, GanSettings, MlpSettings
from models.steps.batch import Batch, Moment
from models.steps.gan import GanStep
from models.steps.step import Draws, Execution, TrainingStep

CPU = torch.device("cpu")
ALONE = Execution(CPU)
MLP = MlpSettings(hidden_width=8, hidden_layers=2)
CONVOLUTIONAL = ConvolutionalSettings(base_channels=2, max_channels=4)
START = Moment(images_seen=0, progress=0.0)
STILL = Moment(images_seen=0, progress=0.0, learning_rate_share=0.0)
"""Gradients are left behind and nothing moves."""
ROWS = 8
CLASSES = 3


def draws(update: int = 0, seed: int = 0, rank: int = 0, processes: int = 1) -> Draws:
    return Draws(seed, update, rank, processes, CPU)


def gan_settings(**changes: Any) -> GanSettings:
    return GanSettings(**({"latent_size": 3, "generator": MLP, "discriminator": MLP} | changes))


def gan(settings: GanSettings, shape: tuple[int, ...] = (2,), seed: int = 0, execution: Execution = ALONE) -> GanStep:
    torch.manual_seed(seed)
    return GanStep(settings, shape, CLASSES, execution)


def batches(count: int = 1, shape: tuple[int, ...] = (2,), seed: int = 0, rows: int = ROWS) -> list[Batch]:
    """Samples in [-1, 1] with a class each."""
    generator = torch.Generator().manual_seed(seed)
    return [
        Batch(torch.randn(rows, *shape, generator=generator).clamp(-1, 1), torch.arange(rows) % CLASSES)
        for _ in range(count)
    ]


def weights(network: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten().clone() for parameter in network.parameters()])


def gradients(network: nn.Module) -> Tensor:
    return torch.cat(
        [parameter.grad.flatten().clone() for parameter in network.parameters() if parameter.grad is not None]
    )


def everything(step: TrainingStep) -> dict[str, Tensor]:
    """Every tensor that a checkpoint keeps, buffers and optimizers' memories too, by name."""
    kept = {f"{name}/{key}": value for name, net in step.networks.items() for key, value in net.state_dict().items()}
    for name, optimizer in step.optimizers.items():
        for index, memory in optimizer.state_dict()["state"].items():
            kept |= {f"{name}/{index}/{key}": value for key, value in memory.items()}
    return {name: value.detach().clone() for name, value in kept.items()}


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Bit for bit."""
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())
