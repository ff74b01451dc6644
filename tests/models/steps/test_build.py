"""Every family's settings build that family's step, through the given wrap."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.config import AutoencoderSettings, GanSettings, MlpSettings, Model, VaeSettings
from models.errors import ConfigurationError
from models.steps.autoencoder import AutoencoderStep
from models.steps.batch import Batch
from models.steps.build import build_step
from models.steps.gan import GanStep
from models.steps.step import Execution, TrainingStep
from models.steps.vae import VaeStep
from tests.models.steps.small import ALONE, CPU, START, draws

MLP = MlpSettings(hidden_width=4, hidden_layers=1)
CASES: list[tuple[Model, type[TrainingStep], set[str]]] = [
    (GanSettings(generator=MLP, discriminator=MLP, latent_size=3), GanStep, {"Generator", "Discriminator"}),
    (VaeSettings(encoder=MLP, decoder=MLP, latent_size=3), VaeStep, {"VaeNetwork"}),
    (AutoencoderSettings(encoder=MLP, decoder=MLP, latent_size=3), AutoencoderStep, {"AutoencoderNetwork"}),
]


@pytest.mark.parametrize(("settings", "expected", "trained"), CASES, ids=["gan", "vae", "ae"])
def test_each_family(settings: Model, expected: type[TrainingStep], trained: set[str]) -> None:
    wrapped: list[nn.Module] = []

    def wrap(network: nn.Module) -> nn.Module:
        wrapped.append(network)
        return network

    torch.manual_seed(0)
    step = build_step(settings, (1, 4, 4), 0, Execution(CPU, wrap))
    assert type(step) is expected
    assert {type(network).__name__ for network in wrapped} == trained
    assert step.latent_size == 3
    step.update([Batch(torch.rand(4, 1, 4, 4))], draws(), START)
    assert step.sample(torch.zeros(2, 3)).shape == (2, 1, 4, 4)
    assert all(isinstance(value, float) for value in step.report().values())
    # what the optimizers move and what is saved are the same weights, averaged copies aside
    moved = {
        id(p) for optimizer in step.optimizers.values() for group in optimizer.param_groups for p in group["params"]
    }
    saved = {id(p) for name, net in step.networks.items() if not name.endswith("_ema") for p in net.parameters()}
    assert moved == saved


@pytest.mark.parametrize("settings", [case[0] for case in CASES], ids=["gan", "vae", "ae"])
def test_torchs_seed_decides_the_weights(settings: Model) -> None:
    def start(seed: int) -> list[torch.Tensor]:
        torch.manual_seed(seed)
        step = build_step(settings, (1, 4, 4), 0, ALONE)
        return [parameter for network in step.networks.values() for parameter in network.parameters()]

    reference = start(0)
    assert all(torch.equal(a, b) for a, b in zip(start(0), reference, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(start(1), reference, strict=True))


CONDITIONAL: list[Model] = [
    GanSettings(generator=MLP, discriminator=MLP, latent_size=3, conditional=True),
    VaeSettings(encoder=MLP, decoder=MLP, latent_size=3, conditional=True),
]


@pytest.mark.parametrize("settings", CONDITIONAL, ids=["gan", "vae"])
def test_a_conditional_model_needs_two_classes(settings: Model) -> None:
    for classes in (0, 1):
        with pytest.raises(ConfigurationError, match=f"at least two classes, the data have {classes}"):
            build_step(settings, (1, 4, 4), classes, ALONE)
    step = build_step(settings, (1, 4, 4), 2, ALONE)
    assert step.sample(torch.zeros(2, 3), torch.tensor([0, 1])).shape == (2, 1, 4, 4)


@pytest.mark.parametrize("settings", [case[0] for case in CASES], ids=["gan", "vae", "ae"])
def test_other_models_do_not_look_at_the_classes(settings: Model) -> None:
    sizes = set()
    for classes in (0, 5):
        step = build_step(settings, (1, 4, 4), classes, ALONE)
        sizes.add(sum(parameter.numel() for network in step.networks.values() for parameter in network.parameters()))
    assert len(sizes) == 1


def test_no_tensor_of_a_checkpoint_is_saved_twice() -> None:
    for settings, *_ in CASES:
        step = build_step(settings, (1, 4, 4), 0, ALONE)
        tensors = [tensor for network in step.networks.values() for tensor in network.state_dict().values()]
        assert len({tensor.data_ptr() for tensor in tensors}) == len(tensors)
