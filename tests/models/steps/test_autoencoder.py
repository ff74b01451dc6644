"""The plain autoencoder: squared error alone, a single-valued code, one update at a time."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.config import AutoencoderSettings, ConvolutionalSettings, MlpSettings
from models.errors import TrainingError
from models.steps.autoencoder import AutoencoderNetwork, AutoencoderStep
from models.steps.step import Draws

CPU = torch.device("cpu")
MLP = MlpSettings(hidden_width=16, hidden_layers=1)
PICTURE = (1, 4, 4)


def step_of(shape: tuple[int, ...] = PICTURE, seed: int = 0, **changes: Any) -> AutoencoderStep:
    torch.manual_seed(seed)
    settings = AutoencoderSettings(**({"latent_size": 3, "encoder": MLP, "decoder": MLP} | changes))
    return AutoencoderStep(settings, shape, CPU, lambda network: network)


def draws(update: int = 0, seed: int = 0, processes: int = 1) -> Draws:
    return Draws(seed, update, 0, processes, CPU)


def samples(rows: int = 8, shape: tuple[int, ...] = PICTURE, seed: int = 0) -> Tensor:
    return torch.rand(rows, *shape, generator=torch.Generator().manual_seed(seed))


def weights(network: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten().clone() for parameter in network.parameters()])


@pytest.mark.parametrize("shape", [PICTURE, (6,)])
def test_the_loss_is_the_squared_error_summed_over_pixels(shape: tuple[int, ...]) -> None:
    step, batch = step_of(shape), samples(shape=shape)
    assert isinstance(step.network, AutoencoderNetwork)
    reconstruction = step.network.decoder(step.network.encoder(batch))
    torch.testing.assert_close(step.network(batch), reconstruction)
    losses = step.losses(step.network, batch, torch.zeros(8, 3))
    assert list(losses) == ["loss"]
    torch.testing.assert_close(losses["loss"], (reconstruction - batch).square().sum() / 8)


def test_a_black_start_still_learns() -> None:
    """The gradient at a pixel is 2 (x' - x) however dark the reconstruction; behind a sigmoid it would vanish."""
    step, batch = step_of(), samples()
    assert isinstance(step.network, AutoencoderNetwork)
    last = [layer for layer in step.network.decoder.modules() if isinstance(layer, nn.Linear)][-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(-20.0)
    (gradient,) = torch.autograd.grad(step.losses(step.network, batch, torch.zeros(8, 3))["loss"], last.bias)
    torch.testing.assert_close(gradient, (2.0 * (-20.0 - batch)).mean(dim=0).flatten())


def test_pictures_are_cut_to_the_unit_interval_and_vectors_are_not() -> None:
    values = torch.tensor([[-0.5, 0.0, 0.25, 1.0, 1.5, 0.5]])
    pictures, vectors = step_of().network, step_of((6,)).network
    assert isinstance(pictures, AutoencoderNetwork)
    assert isinstance(vectors, AutoencoderNetwork)
    assert pictures.to_sample(values).tolist() == [[0.0, 0.0, 0.25, 1.0, 1.0, 0.5]]
    assert torch.equal(vectors.to_sample(values), values)
    code = 50.0 * torch.randn(20, 3)
    images = step_of().sample(code)
    assert images.min().item() == 0.0
    assert images.max().item() == 1.0
    assert step_of((6,)).sample(code).abs().max() > 1.0


def test_the_code_is_single_valued() -> None:
    """No noise has a part in training: other draws, the same weights."""

    def trained(noise_seed: int, data_seed: int = 0) -> Tensor:
        step = step_of()
        for update in range(3):
            step.update([samples(seed=data_seed)], draws(update, noise_seed), 1.0, 8 * update)
        return weights(step.network)

    assert torch.equal(trained(0), trained(1))
    assert not torch.equal(trained(0), trained(0, data_seed=1))  # negative control


def test_one_update_is_one_step_at_the_given_rate() -> None:
    """Adam's first step moves every weight that has a gradient by the learning rate."""
    for share in (0.0, 0.5):
        step = step_of(learning_rate=1e-2)
        steps: list[int] = []
        step.optimizer.register_step_post_hook(lambda *_, steps=steps: steps.append(1))
        before = weights(step.network)
        step.update([samples()], draws(), share, 0)
        assert steps == [1]
        assert (weights(step.network) - before).abs().max().item() == pytest.approx(1e-2 * share, rel=1e-2)


@pytest.mark.parametrize("processes", [1, 3])
def test_the_average_is_its_formula(processes: int) -> None:
    step = step_of(ema_half_life_images=20)
    before = weights(step.network_ema)
    step.update([samples()], draws(processes=processes), 1.0, 10**6)
    keep = 0.5 ** (8 * processes / 20)
    torch.testing.assert_close(
        weights(step.network_ema), keep * before + (1.0 - keep) * weights(step.network), rtol=1e-4, atol=1e-6
    )
    assert not any(parameter.requires_grad for parameter in step.network_ema.parameters())


def test_training_reconstructs() -> None:
    step, batch = step_of(learning_rate=1e-2), samples(4).round()
    first = None
    for update in range(200):
        step.update([batch], draws(update), 1.0, 4 * update)
        first = first or step.report()["loss"]
    assert first is not None
    assert step.report()["loss"] < 0.05 * first


def test_a_loss_that_is_not_finite_stops_before_anything_moves() -> None:
    step = step_of()
    before = weights(step.network), weights(step.network_ema)
    with pytest.raises(TrainingError, match="training loss became"):
        step.update([torch.full((4, *PICTURE), math.inf)], draws(), 1.0, 0)
    assert torch.equal(weights(step.network), before[0])
    assert torch.equal(weights(step.network_ema), before[1])


def test_gradients_do_not_pile_up_over_updates() -> None:
    step, batch = step_of(), samples()
    for update in range(3):
        step.update([batch], draws(update), 0.0, 0)  # rate zero: the gradient must stay the same
    found = [parameter.grad.clone() for parameter in step.network.parameters() if parameter.grad is not None]
    loss = step.losses(step.network, batch, torch.zeros(8, 3))["loss"]
    expected = torch.autograd.grad(loss, list(step.network.parameters()))
    torch.testing.assert_close(found, list(expected))


def test_samples_and_diagnosis_are_by_the_averaged_network() -> None:
    step, code, held_out = step_of(), torch.randn(5, 3), samples(6, seed=3)
    assert isinstance(step.network_ema, AutoencoderNetwork)
    images, diagnosis = step.sample(code), step.diagnose(samples(), held_out, draws())
    with torch.no_grad():
        for parameter in step.network.parameters():
            parameter.add_(1.0)
    assert torch.equal(step.sample(code), images)
    assert step.diagnose(samples(), held_out, draws()) == diagnosis
    torch.testing.assert_close(images, step.network_ema.decoder(code).clamp(0.0, 1.0))
    expected = (step.network_ema(held_out) - held_out).square().sum().item() / 6
    assert diagnosis == {"held_out_loss": pytest.approx(expected, rel=1e-5)}
    assert images.min() >= 0.0
    assert images.max() <= 1.0


def test_a_convolutional_autoencoder_takes_an_update() -> None:
    small = ConvolutionalSettings(base_channels=2, max_channels=4)
    step = step_of((3, 9, 8), encoder=small, decoder=small)
    before = weights(step.network)
    step.update([samples(4, (3, 9, 8))], draws(), 1.0, 0)
    assert not torch.equal(weights(step.network), before)
    assert step.sample(torch.randn(2, 3)).shape == (2, 3, 9, 8)
