"""The plain autoencoder: squared error alone, a single-valued code, one update at a time."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.config import AutoencoderSettings, ConvolutionalSettings, MlpSettings
from models.diagnostics import describe_code
from models.errors import TrainingError
from models.steps.autoencoder import AutoencoderNetwork, AutoencoderStep
from models.steps.batch import Batch, Moment
from models.steps.step import Execution
from tests.models.steps.small import ALONE, CPU, START, STILL, draws, equal, everything, gradients, weights

MLP = MlpSettings(hidden_width=16, hidden_layers=1)
PICTURE = (1, 4, 4)


LATE = Moment(images_seen=10**6, progress=0.0)


def step_of(
    shape: tuple[int, ...] = PICTURE, seed: int = 0, execution: Execution = ALONE, **changes: Any
) -> AutoencoderStep:
    torch.manual_seed(seed)
    settings = AutoencoderSettings(**({"latent_size": 3, "encoder": MLP, "decoder": MLP} | changes))
    return AutoencoderStep(settings, shape, execution)


def samples(rows: int = 8, shape: tuple[int, ...] = PICTURE, seed: int = 0) -> Tensor:
    return torch.rand(rows, *shape, generator=torch.Generator().manual_seed(seed))


def losses_of(step: AutoencoderStep, batch: Tensor) -> dict[str, Tensor]:
    return step.losses(step.network, Batch(batch), {}, START)


@pytest.mark.parametrize("shape", [PICTURE, (6,)])
def test_the_loss_is_the_squared_error_summed_over_pixels(shape: tuple[int, ...]) -> None:
    step, batch = step_of(shape), samples(shape=shape)
    assert isinstance(step.network, AutoencoderNetwork)
    reconstruction = step.network.decoder(step.network.encoder(batch))
    torch.testing.assert_close(step.network(batch), reconstruction)
    losses = losses_of(step, batch)
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
    (gradient,) = torch.autograd.grad(losses_of(step, batch)["loss"], last.bias)
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
            step.update([Batch(samples(seed=data_seed))], draws(update, noise_seed), Moment(8 * update, update / 3))
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
        step.update([Batch(samples())], draws(), Moment(0, 0.0, learning_rate_share=share))
        assert steps == [1]
        assert (weights(step.network) - before).abs().max().item() == pytest.approx(1e-2 * share, rel=1e-2)


@pytest.mark.parametrize("processes", [1, 3])
def test_the_average_is_its_formula(processes: int) -> None:
    step = step_of(ema_half_life_images=20)
    before = weights(step.network_ema)
    step.update([Batch(samples())], draws(processes=processes), LATE)
    keep = 0.5 ** (8 * processes / 20)
    torch.testing.assert_close(
        weights(step.network_ema), keep * before + (1.0 - keep) * weights(step.network), rtol=1e-4, atol=1e-6
    )
    assert not any(parameter.requires_grad for parameter in step.network_ema.parameters())


def test_training_reconstructs() -> None:
    step, batch = step_of(learning_rate=2e-2), samples(4).round()
    first = None
    for update in range(100):
        step.update([Batch(batch)], draws(update), Moment(4 * update, update / 100))
        first = first or step.report()["loss"]
    assert first is not None
    assert step.report()["loss"] < 0.05 * first


def test_a_loss_that_is_not_finite_stops_before_anything_moves() -> None:
    step = step_of()
    before = everything(step)
    with pytest.raises(TrainingError, match="training loss became"):
        step.update([Batch(torch.full((4, *PICTURE), math.inf))], draws(), START)
    assert equal(everything(step), before)


def test_gradients_do_not_pile_up_over_updates() -> None:
    step, batch = step_of(), samples()
    for update in range(3):
        step.update([Batch(batch)], draws(update), STILL)  # rate zero: the gradient must stay the same
    found = [parameter.grad.clone() for parameter in step.network.parameters() if parameter.grad is not None]
    loss = losses_of(step, batch)["loss"]
    expected = torch.autograd.grad(loss, list(step.network.parameters()))
    torch.testing.assert_close(found, list(expected))


def test_samples_and_diagnosis_are_by_the_averaged_network() -> None:
    step, code, held_out = step_of(), torch.randn(5, 3), samples(6, seed=3)
    assert isinstance(step.network_ema, AutoencoderNetwork)
    images, diagnosis = step.sample(code), step.diagnose(Batch(samples()), Batch(held_out), draws())
    with torch.no_grad():
        for parameter in step.network.parameters():
            parameter.add_(1.0)
    assert torch.equal(step.sample(code), images)
    assert step.diagnose(Batch(samples()), Batch(held_out), draws()) == diagnosis
    torch.testing.assert_close(images, step.network_ema.decoder(code).clamp(0.0, 1.0))
    expected = (step.network_ema(held_out) - held_out).square().sum().item() / 6
    told = {"held_out_loss": expected} | describe_code(step.network_ema.encoder(held_out), None)
    assert diagnosis == pytest.approx(told, rel=1e-5)
    assert step.selection in diagnosis
    assert images.min() >= 0.0
    assert images.max() <= 1.0


def test_a_convolutional_autoencoder_takes_an_update() -> None:
    small = ConvolutionalSettings(base_channels=2, max_channels=4)
    step = step_of((3, 9, 8), encoder=small, decoder=small)
    before = weights(step.network)
    step.update([Batch(samples(4, (3, 9, 8)))], draws(), START)
    assert not torch.equal(weights(step.network), before)
    assert step.sample(torch.randn(2, 3)).shape == (2, 3, 9, 8)


def test_the_report_holds_the_loss_and_its_gradient() -> None:
    step = step_of()
    step.update([Batch(samples())], draws(), STILL)
    expected = {
        "loss": losses_of(step, samples())["loss"].item(),
        "gradient_norm": gradients(step.network).norm().item(),
    }
    assert step.report() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("accumulation", [2, 4])
def test_the_gradients_of_parts_sum_to_the_batchs(accumulation: int) -> None:
    whole, parts = (step_of(execution=Execution(CPU, accumulation=count)) for count in (1, accumulation))
    for step in (whole, parts):
        step.update([Batch(samples())], draws(), STILL)
    torch.testing.assert_close(gradients(parts.network), gradients(whole.network), rtol=1e-4, atol=1e-6)
    assert parts.report() == pytest.approx(whole.report(), rel=1e-5)


def test_in_bfloat16_gradients_point_where_float32s_do() -> None:
    found, exact = (step_of(execution=Execution(CPU, bfloat16=half)) for half in (True, False))
    for step in (found, exact):
        step.update([Batch(samples())], draws(), STILL)
    pair = gradients(found.network), gradients(exact.network)
    assert pair[0].dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(*pair, dim=0) > 0.99
    assert not torch.equal(*pair)  # products were in bfloat16


def test_an_update_is_a_function_of_what_a_checkpoint_keeps() -> None:
    step, other = step_of(seed=0), step_of(seed=1)
    for update in range(3):
        step.update([Batch(samples(seed=update))], draws(update), Moment(8 * update, 0.1 * update))
    for name, network in step.networks.items():
        other.networks[name].load_state_dict(network.state_dict())
    other.optimizer.load_state_dict(copy.deepcopy(step.optimizer.state_dict()))
    for one in (step, other):
        one.update([Batch(samples(seed=3))], draws(3), Moment(24, 0.3, 0.5))
    assert equal(everything(step), everything(other))


def test_diagnosis_moves_nothing() -> None:
    step = step_of()
    step.update([Batch(samples())], draws(), START)
    before, report = everything(step), step.report()
    step.diagnose(Batch(samples()), Batch(samples(6, seed=3)), draws())
    assert equal(everything(step), before)
    assert step.report() == report
