"""The negative ELBO term by term, and the two failures that its terms guard each other from."""

from __future__ import annotations

import copy
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from models.config import ConvolutionalSettings, MlpSettings, VaeSettings
from models.diagnostics import describe_code
from models.errors import ConfigurationError, TrainingError
from models.steps.batch import Batch, Moment
from models.steps.step import Execution
from models.steps.vae import Coded, VaeStep
from tests.models.steps.small import ALONE, CPU, START, STILL, draws, equal, everything, gradients, weights

MLP = MlpSettings(hidden_width=16, hidden_layers=1)
PICTURE = (1, 4, 4)
CLASSES = 3


def settings(**changes: Any) -> VaeSettings:
    return VaeSettings(**({"latent_size": 3, "encoder": MLP, "decoder": MLP} | changes))


def step_of(
    configured: VaeSettings, shape: tuple[int, ...] = PICTURE, seed: int = 0, execution: Execution = ALONE
) -> VaeStep:
    torch.manual_seed(seed)
    return VaeStep(configured, shape, CLASSES, execution)


def terms_of(
    step: VaeStep, samples: Tensor, eps: Tensor, moment: Moment = START, network: nn.Module | None = None
) -> dict[str, Tensor]:
    """Of given code noise, [N, Z]."""
    return step.losses(network or step.network, Batch(samples), {"code": eps[:, None]}, moment)


def coded_by(step: VaeStep, samples: Tensor, eps: Tensor) -> Coded:
    return Coded(*step.network(samples, eps[None]))


def pictures(rows: int = 16, seed: int = 0, shape: tuple[int, ...] = PICTURE) -> Tensor:
    return (torch.rand(rows, *shape, generator=torch.Generator().manual_seed(seed)) > 0.5).float()


def noise(rows: int = 16) -> Tensor:
    return torch.randn(rows, 3, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 4.0])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_the_loss_is_reconstruction_plus_beta_kl(beta: float, likelihood: str) -> None:
    step = step_of(settings(beta=beta, likelihood=likelihood))
    terms = terms_of(step, pictures(), noise())
    torch.testing.assert_close(terms["loss"], terms["reconstruction_nats"] + beta * terms["kl_nats"])
    torch.testing.assert_close(terms["kl_nats"], terms["kl_nats_from_mean"] + terms["kl_nats_from_variance"])
    assert terms["kl_nats"].item() > 0.0


def test_every_term_is_per_sample_and_summed_over_pixels_and_latents() -> None:
    step, batch = step_of(settings()), pictures()
    coded = coded_by(step, batch, noise())
    location, mean, sigma = coded.location, coded.mean, torch.exp(0.5 * coded.log_variance)
    terms = terms_of(step, batch, noise())
    torch.testing.assert_close(coded.latent, (mean + sigma * noise())[None])
    torch.testing.assert_close(location, step.network_ema.decoder(mean + sigma * noise()))
    torch.testing.assert_close(
        terms["reconstruction_nats"], -Bernoulli(logits=location).log_prob(batch).sum(dim=(1, 2, 3)).mean()
    )
    torch.testing.assert_close(
        terms["kl_nats"], kl_divergence(Normal(mean, sigma), Normal(0.0, 1.0)).sum(dim=1).mean(), rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(terms["kl_nats_from_mean"], 0.5 * mean.square().sum(dim=1).mean())
    torch.testing.assert_close(terms["posterior_sigma"], sigma.mean())


@pytest.mark.parametrize(
    ("likelihood", "sigma"),
    [("bernoulli", None), ("gaussian", math.exp(-0.35)), ("discretized-logistic", math.exp(-0.7) * math.pi / 3**0.5)],
)
def test_the_decoders_sigma_is_told_where_it_has_one(likelihood: str, sigma: float | None) -> None:
    step = step_of(settings(likelihood=likelihood))
    if sigma is not None:
        with torch.no_grad():
            step.network.log_scale.fill_(-0.7)
    terms = terms_of(step, pictures(), noise())
    assert ("decoder_sigma" in terms) is (sigma is not None)
    if sigma is not None:
        assert float(terms["decoder_sigma"]) == pytest.approx(sigma, rel=1e-6)


@pytest.mark.parametrize("shape", [PICTURE, (6,)])
def test_the_gaussian_likelihood_has_the_networks_own_sigma(shape: tuple[int, ...]) -> None:
    step, batch = step_of(settings(likelihood="gaussian"), shape), pictures(shape=shape)
    with torch.no_grad():
        step.network.get_parameter("log_scale").fill_(-0.7)
    location = coded_by(step, batch, noise()).location
    expected = -Normal(location, math.exp(-0.35)).log_prob(batch).flatten(1).sum(dim=1).mean()
    torch.testing.assert_close(terms_of(step, batch, noise())["reconstruction_nats"], expected)


def test_the_held_out_likelihood_has_the_averaged_sigma() -> None:
    step, batch = step_of(settings(likelihood="gaussian"), (6,)), pictures(shape=(6,))
    before = terms_of(step, batch, noise(), network=step.network_ema)["reconstruction_nats"]
    with torch.no_grad():
        step.network_ema.log_scale.fill_(1.0)
    after = terms_of(step, batch, noise(), network=step.network_ema)["reconstruction_nats"]
    assert abs(after - before) > 0.1


def test_showing_the_batch_twice_changes_nothing() -> None:
    step, batch = step_of(settings()), pictures()
    once = terms_of(step, batch, noise())
    twice = terms_of(step, batch.repeat(2, 1, 1, 1), noise().repeat(2, 1))
    for name, value in once.items():
        torch.testing.assert_close(twice[name], value)


def test_gradients_reach_both_halves_of_the_posterior() -> None:
    """By reconstruction alone: through z = mu + sigma eps, and with noise zero not to sigma."""
    step, batch = step_of(settings(beta=0.0)), pictures()
    last = [layer for layer in step.network.get_submodule("encoder").modules() if isinstance(layer, nn.Linear)][-1]
    for eps, reaches_sigma in ((noise(), True), (torch.zeros_like(noise()), False)):
        (gradient,) = torch.autograd.grad(terms_of(step, batch, eps)["loss"], last.bias)
        at_mean, at_log_variance = gradient.chunk(2)
        assert (at_mean != 0).all()
        assert bool((at_log_variance != 0).all()) is reaches_sigma


def test_a_bernoulli_likelihood_refuses_vectors() -> None:
    with pytest.raises(ConfigurationError, match="bernoulli"):
        step_of(settings(likelihood="bernoulli"), (2,))
    step_of(settings(likelihood="gaussian"), (2,))


def train(step: VaeStep, batch: Tensor, updates: int) -> dict[str, float]:
    for update in range(updates):
        step.update([Batch(batch)], draws(update), Moment(len(batch) * update, update / updates))
    return step.report()


def test_without_the_kl_the_variance_vanishes() -> None:
    """beta = 0 turns a VAE into an autoencoder; beta = 1 keeps its noise; a huge beta silences the code."""
    # Four pictures: the code must carry log 4 nats, for which it needs no small variance.
    batch = pictures(4).repeat(8, 1, 1, 1)
    reports = {
        beta: train(step_of(settings(beta=beta, latent_size=2, learning_rate=5e-2)), batch, 80)
        for beta in (0.0, 1.0, 50.0)
    }
    assert reports[0.0]["posterior_sigma"] < 0.2
    assert reports[1.0]["posterior_sigma"] > 2.0 * reports[0.0]["posterior_sigma"]
    assert reports[50.0]["posterior_sigma"] == pytest.approx(1.0, abs=0.1)
    assert reports[0.0]["kl_nats"] > 2.0 * reports[1.0]["kl_nats"] > 10.0 * reports[50.0]["kl_nats"]
    assert reports[0.0]["reconstruction_nats"] < reports[1.0]["reconstruction_nats"]
    assert reports[1.0]["reconstruction_nats"] < 0.5 * reports[50.0]["reconstruction_nats"]


def test_the_learnt_sigma_is_the_root_mean_squared_error() -> None:
    step = step_of(settings(likelihood="gaussian", latent_size=1, learning_rate=6e-2), (4,))
    batch = 0.3 * torch.randn(256, 4, generator=torch.Generator().manual_seed(1))
    train(step, batch, 100)
    with torch.no_grad():
        location = coded_by(step, batch, draws(1000).normal("code", 256, 1)).location
        error = (location - batch).square().mean()
    assert step.network.get_parameter("log_scale").exp().item() == pytest.approx(error.item(), rel=0.05)


def test_samples_are_the_averaged_decoders_means() -> None:
    step, latent = step_of(settings()), noise()
    images = step.sample(latent)
    torch.testing.assert_close(images, torch.sigmoid(step.network_ema.decoder(latent)))
    assert not images.requires_grad
    with torch.no_grad():
        for parameter in step.network.parameters():
            parameter.add_(1.0)
    assert torch.equal(step.sample(latent), images)


def test_pictures_are_sampled_between_zero_and_one() -> None:
    """A Bernoulli's mean is the sigmoid of its logits; a Gaussian's is the location, cut to the interval."""
    latent = 50.0 * noise()
    for likelihood, squash in (("bernoulli", torch.sigmoid), ("gaussian", lambda at: at.clamp(0.0, 1.0))):
        step = step_of(settings(likelihood=likelihood))
        location = step.network_ema.decoder(latent)
        assert location.abs().max() > 1.0
        torch.testing.assert_close(step.sample(latent), squash(location))


def test_vectors_are_sampled_as_they_are() -> None:
    step = step_of(settings(likelihood="gaussian"), (6,))
    torch.testing.assert_close(step.sample(noise()), step.network_ema.decoder(noise()))
    assert step.sample(100.0 * noise()).abs().max() > 1.0


def test_diagnosis_is_the_finished_loss_on_held_out_samples_by_the_averaged_network() -> None:
    """Warm-up is over in it at any moment, so that it compares along a run."""
    step, held_out = step_of(settings(kl_warmup_share=1.0, beta=2.0)), pictures(12, seed=7)
    train(step, pictures(), 5)
    found = step.diagnose(Batch(pictures()), Batch(held_out), draws())
    eps = draws().named("diagnose").normal("code", 12, 3)
    terms = terms_of(step, held_out, eps, Moment(0, 1.0), step.network_ema)
    expected = {f"held_out_{name}": value.item() for name, value in terms.items()}
    assert expected["held_out_loss"] == pytest.approx(
        expected["held_out_reconstruction_nats"] + 2.0 * expected["held_out_kl_nats"], rel=1e-5
    )
    with torch.no_grad():
        expected |= describe_code(*step.network_ema.encoder(held_out))
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert step.selection in found


def test_diagnosis_and_sampling_move_nothing() -> None:
    step = step_of(settings(importance_samples=3))
    train(step, pictures(), 2)
    before, report, torchs_own = everything(step), step.report(), torch.get_rng_state()
    first = step.diagnose(Batch(pictures()), Batch(pictures(12, seed=7)), draws())
    step.sample(noise())
    assert step.diagnose(Batch(pictures()), Batch(pictures(12, seed=7)), draws()) == first
    assert equal(everything(step), before)
    assert step.report() == report
    assert torch.equal(torch.get_rng_state(), torchs_own)


def test_the_report_holds_the_terms_of_the_last_update_and_its_gradient() -> None:
    step = step_of(settings())
    assert step.report() == {"gradient_norm": 0.0}
    step.update([Batch(pictures())], draws(), STILL)
    terms = terms_of(step, pictures(), draws().normal("code", 16, 3))
    expected = {name: value.item() for name, value in terms.items()}
    expected["gradient_norm"] = gradients(step.network).norm().item()
    assert step.report() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_loss_that_is_not_finite_stops_before_anything_moves(value: float, accumulation: int) -> None:
    step = step_of(settings(likelihood="gaussian"), execution=Execution(CPU, accumulation=accumulation))
    before, samples = everything(step), pictures()
    samples[-1, 0, 0, 0] = value
    with pytest.raises(TrainingError, match="training loss became"):
        step.update([Batch(samples)], draws(), START)
    assert equal(everything(step), before)


def test_the_same_seed_gives_the_same_weights() -> None:
    def trained(seed: int) -> dict[str, Tensor]:
        step = step_of(settings(), seed=seed)
        train(step, pictures(), 3)
        return everything(step)

    assert equal(trained(0), trained(0))
    assert not equal(trained(0), trained(1))


def test_an_update_is_a_function_of_what_a_checkpoint_keeps() -> None:
    configured = settings(binarize=True, kl_warmup_share=0.5, conditional=True)
    step, other = step_of(configured, seed=0), step_of(configured, seed=1)
    batch = Batch(torch.rand(16, *PICTURE), torch.arange(16) % CLASSES)
    for update in range(3):
        step.update([batch], draws(update), Moment(16 * update, 0.1 * update))
    for name, network in step.networks.items():
        other.networks[name].load_state_dict(network.state_dict())
    other.optimizer.load_state_dict(copy.deepcopy(step.optimizer.state_dict()))
    for one in (step, other):
        torch.manual_seed(99 if one is step else 7)  # torch's own generator has no part in it
        one.update([batch], draws(3), Moment(48, 0.3, 0.5))
    assert equal(everything(step), everything(other))
    assert step.report() == other.report()


@pytest.mark.parametrize("count", [1, 4])
def test_every_update_draws_fresh_noise(count: int) -> None:
    step, seen = step_of(settings(importance_samples=count)), []
    step.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1].clone()))
    train(step, pictures(), 3)
    assert [tuple(eps.shape) for eps in seen] == [(count, 16, 3)] * 3
    assert not any(torch.any(a == b) for i, a in enumerate(seen) for b in seen[:i])
    expected = draws(2).normal("code", 16, count * 3).view(16, count, 3)
    assert torch.equal(seen[2].transpose(0, 1), expected)


# -- execution ----------------------------------------------------------------------------------------

CASES: dict[str, dict[str, Any]] = {
    "elbo": {},
    "gaussian": {"likelihood": "gaussian"},
    "importance-weighted": {"importance_samples": 5},
    "binarized": {"binarize": True},
    "conditional": {"conditional": True},
    # Between what halves of the batch, its quarters and the whole have, of one dimension at least or in all.
    "free bits": {"free_bits_nats": 0.355},
    "free bits of drawn pixels": {"free_bits_nats": 0.7, "binarize": True},
    "capacity": {"capacity_nats": 4.07},
}
EVERY_CASE = pytest.mark.parametrize("changes", CASES.values(), ids=CASES)


def grey_batch() -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(torch.rand(16, *PICTURE, generator=generator), torch.arange(16) % CLASSES)


HALFWAY = Moment(images_seen=0, progress=0.5, learning_rate_share=0.0)
"""The capacity has risen by now; gradients are left behind and nothing moves."""


class Meeting:
    """Two threads in the place of two processes: what they average is averaged when both have come."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(2, timeout=60.0)
        self.brought: dict[int, Tensor] = {}

    def mean(self, rank: int, value: Tensor) -> Tensor:
        self.brought[rank] = value
        self.barrier.wait()
        mean = 0.5 * (self.brought[0] + self.brought[1])
        self.barrier.wait()
        return mean


class Member(Execution):
    """Of a meeting."""

    def __init__(self, meeting: Meeting, rank: int, accumulation: int) -> None:
        super().__init__(CPU, processes=2, accumulation=accumulation)
        object.__setattr__(self, "agreed", partial(meeting.mean, rank))

    def mean_over_processes(self, value: Tensor) -> Tensor:
        mean: Tensor = vars(self)["agreed"](value)
        return mean


@EVERY_CASE
@pytest.mark.parametrize("accumulation", [2, 4])
def test_the_gradients_of_parts_sum_to_the_batchs(changes: dict[str, Any], accumulation: int) -> None:
    whole, parts = (step_of(settings(**changes), execution=Execution(CPU, accumulation=n)) for n in (1, accumulation))
    for step in (whole, parts):
        step.update([grey_batch()], draws(), HALFWAY)
    torch.testing.assert_close(gradients(parts.network), gradients(whole.network), rtol=1e-4, atol=1e-5)
    assert parts.report() == pytest.approx(whole.report(), rel=1e-4)


@EVERY_CASE
@pytest.mark.parametrize("accumulation", [1, 2])
def test_the_mean_gradient_of_two_processes_is_that_of_one(changes: dict[str, Any], accumulation: int) -> None:
    meeting = Meeting()
    steps = [step_of(settings(**changes), execution=Member(meeting, rank, accumulation)) for rank in range(2)]

    def gradient(rank: int) -> Tensor:
        steps[rank].update([grey_batch().split(2)[rank]], draws(rank=rank, processes=2), HALFWAY)
        return gradients(steps[rank].network)

    alone = step_of(settings(**changes))
    alone.update([grey_batch()], draws(), HALFWAY)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(gradient, range(2))
    torch.testing.assert_close(0.5 * (first + second), gradients(alone.network), rtol=1e-4, atol=1e-5)
    losses = [step.report()["loss"] for step in (*steps, alone)]
    assert 0.5 * (losses[0] + losses[1]) == pytest.approx(losses[2], rel=1e-5)
    assert not torch.allclose(first, second, rtol=1e-2)  # negative control


@EVERY_CASE
def test_in_bfloat16_gradients_point_where_float32s_do(changes: dict[str, Any]) -> None:
    """The bound itself, its sums of many nats and its exponentials, stays float32."""
    found, exact = (step_of(settings(**changes), execution=Execution(CPU, bfloat16=half)) for half in (True, False))
    for step in (found, exact):
        step.update([grey_batch()], draws(), STILL)
    pair = gradients(found.network), gradients(exact.network)
    assert pair[0].dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(*pair, dim=0) > 0.99
    assert not torch.equal(*pair)  # products were in bfloat16
    assert found.report()["loss"] == pytest.approx(exact.report()["loss"], rel=0.01)


def test_a_conditional_decoder_is_told_the_class_and_the_encoder_is_not() -> None:
    step = step_of(settings(conditional=True))
    images = [step.sample(noise(), torch.full((16,), label)) for label in range(CLASSES)]
    assert not any(torch.allclose(image, other, atol=1e-4) for i, image in enumerate(images) for other in images[:i])
    coded = [Coded(*step.network(pictures(), noise()[None], torch.full((16,), label))) for label in (0, 1)]
    assert torch.equal(coded[0].mean, coded[1].mean)
    assert torch.equal(coded[0].log_variance, coded[1].log_variance)
    step.update([Batch(pictures(), torch.tensor([0, 2] * 8))], draws(), STILL)
    embedding = step.network.get_parameter("decoder.label.weight")
    assert embedding.grad is not None
    assert [bool(row.any()) for row in embedding.grad] == [True, False, True]
    with pytest.raises(ConfigurationError, match="not told the class"):
        step.update([Batch(pictures())], draws(), STILL)


def test_each_draw_of_a_sample_has_its_class() -> None:
    """Of several draws the labels repeat as the samples do: the k draws of all samples one after the other."""
    step = step_of(settings(conditional=True, importance_samples=2))
    labels, eps = torch.arange(16) % CLASSES, torch.stack([noise(), -noise()])
    coded = Coded(*step.network(pictures(), eps, labels))
    expected = [step.network_ema.decoder(coded.latent[draw], labels) for draw in range(2)]
    torch.testing.assert_close(coded.location, torch.cat(expected))


def test_a_convolutional_vae_takes_an_update() -> None:
    small = ConvolutionalSettings(base_channels=2, max_channels=4)
    step = step_of(settings(encoder=small, decoder=small), (3, 9, 8))
    before = weights(step.network)
    step.update([Batch(pictures(4, shape=(3, 9, 8)))], draws(), START)
    assert not torch.equal(weights(step.network), before)
    assert step.sample(noise(4)).shape == (4, 3, 9, 8)
