"""Numbers of encoder and decoder, from the exported graphs, against torch and closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from components.evaluate.coding import _weights, code, coding_metrics
from components.evaluate.reader import read_report
from components.evaluate.sampling import Sampler
from components.evaluate.scored import extract
from components.export.bundle import read_bundle
from components.export.signature import Likelihood
from components.prepare.dataset import read_manifest, read_split
from components.train.checkpoint import load_weights, read_checkpoint
from models.latents import standard_normal_latents
from models.metrics.bounds import log_mean_exp
from models.metrics.likelihood import log_likelihood
from models.objectives import variational
from models.steps.build import build_step
from models.steps.step import Execution

COUNT = 120


def coded(run: Any, **changes: Any) -> Any:
    rows, labels = read_split(run.dataset, read_manifest(run.dataset), "validation")
    pictures = np.ascontiguousarray(rows[:COUNT].transpose(0, 2, 3, 1))
    arguments = {"seed": 3, "importance_samples": 8, "importance_rows": 20, **changes}
    found = code(run.bundle, read_bundle(run.bundle), run.extractor, pictures, labels[:COUNT], **arguments)
    return found, pictures


def network_of(run: Any) -> Any:
    trained = read_checkpoint(run.checkpoint)
    step: Any = build_step(trained.recipe.model, tuple(trained.sample_shape), 10, Execution(torch.device("cpu")))
    load_weights(run.checkpoint, step.networks)
    step.network_ema.eval()
    return step


def test_codes_and_reconstructions_are_torchs(tiny: Any) -> None:
    run = tiny("vae")
    found, pictures = coded(run)
    step = network_of(run)
    images = torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy()).float() / 255.0
    with torch.no_grad():
        mean, log_variance = step.network_ema.encoder(images)
        image = step.network_ema.to_sample(step.network_ema.decoder(mean))
    assert found.mean == pytest.approx(mean.numpy(), abs=1e-4)
    assert found.log_variance == pytest.approx(log_variance.numpy(), abs=1e-4)
    assert found.squared_error == pytest.approx((image - images).square().flatten(1).mean(dim=1).numpy(), abs=1e-5)


def test_the_bound_is_one_draws_reconstruction_and_the_kl_in_closed_form(tiny: Any) -> None:
    found, pictures = coded(tiny("vae"))
    step = network_of(tiny("vae"))
    mean, log_variance = (torch.from_numpy(value) for value in (found.mean, found.log_variance))
    noise = torch.from_numpy(standard_normal_latents(3 + 2**63, *found.mean.shape))
    with torch.no_grad():
        location = step.network_ema.decoder(variational.reparameterize(mean, log_variance, noise))
    images = torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy()).float() / 255.0
    expected = variational.bernoulli_negative_log_likelihood(location, images)
    expected += variational.kl_to_standard_normal(mean, log_variance).sum(dim=1)
    assert step.settings.likelihood == "bernoulli" and not step.settings.binarize
    assert found.negative_elbo == pytest.approx(expected.numpy(), abs=1e-2)


def test_more_draws_come_nearer_to_the_likelihood_from_the_bounds_side(tiny: Any) -> None:
    run = tiny("vae")
    one, _ = coded(run, importance_samples=1)
    many, pictures = coded(run, importance_samples=200)
    assert many.negative_log_likelihood.mean() < one.negative_log_likelihood.mean()
    assert many.negative_log_likelihood.mean() <= many.negative_elbo[:20].mean()
    step = network_of(run)
    images = torch.from_numpy(pictures[:20].transpose(0, 3, 1, 2).copy()).float() / 255.0
    expected = -log_likelihood(
        step.network_ema, images, importance_samples=2_000, generator=torch.Generator().manual_seed(0)
    )
    assert many.negative_log_likelihood.mean() == pytest.approx(float(expected.mean()), rel=0.01)


def test_on_the_same_noise_the_likelihood_is_the_benchmarks(tiny: Any) -> None:
    """The report's estimator (numpy, the ONNX bytes) and the benchmarks' (torch, the network)."""
    run, draws, count = tiny("vae"), 7, 12
    found, pictures = coded(run)
    step, signature = network_of(run), read_bundle(run.bundle)
    images = torch.from_numpy(pictures[:count].transpose(0, 3, 1, 2).copy()).float() / 255.0
    expected = log_likelihood(
        step.network_ema, images, importance_samples=draws, generator=torch.Generator().manual_seed(2)
    )
    noise = torch.randn(draws, count, found.mean.shape[1], generator=torch.Generator().manual_seed(2)).numpy()
    sampler = Sampler(run.bundle, signature, np.zeros(count, dtype=np.int64))
    encoded = [found.mean[:count], found.log_variance[:count]]
    weights = [sum(_weights(sampler, signature.likelihood, encoded, one, images.numpy(), 0)) for one in noise]
    assert log_mean_exp(np.stack(weights)) == pytest.approx(expected.numpy(), abs=1e-3)


def test_the_noise_belongs_to_the_row(tiny: Any) -> None:
    first, _ = coded(tiny("vae"))
    second, _ = coded(tiny("vae"))
    other, _ = coded(tiny("vae"), seed=4)
    assert np.array_equal(first.negative_elbo, second.negative_elbo)
    assert not np.array_equal(first.negative_elbo, other.negative_elbo)


def test_an_autoencoder_has_codes_and_no_likelihood(tiny: Any) -> None:
    found, pictures = coded(tiny("ae"))
    assert found.log_variance is found.negative_elbo is found.negative_log_likelihood is None
    metrics = coding_metrics(found, extract(tiny("ae").extractor, pictures), 784, None)
    assert {"reconstruction_mean_squared_error", "active_units", "aggregate_posterior_kl"} <= metrics.keys()
    assert not {"negative_elbo", "kl_from_mean", "mutual_information"} & metrics.keys()


def test_bits_are_stated_only_of_what_could_be_stored(tiny: Any) -> None:
    found, pictures = coded(tiny("vae"))
    seen = extract(tiny("vae").extractor, pictures)
    for likelihood, stated in (
        (Likelihood(kind="bernoulli"), False),
        (Likelihood(kind="bernoulli", binarized=True), True),
        (Likelihood(kind="discretized-logistic", log_scale=-3.0), True),
        (Likelihood(kind="gaussian", log_scale=-3.0), False),
    ):
        metrics = coding_metrics(found, seen, 784, likelihood)
        assert ("bits_per_dimension" in metrics) is stated
        if stated:
            nats = metrics["negative_elbo"].value
            assert metrics["bits_per_dimension"].value == pytest.approx(nats / 784 / math.log(2.0))


def test_the_report_states_what_every_dimension_costs(tiny: Any) -> None:
    metrics, _ = read_report(tiny("vae").report)
    assert len(metrics.code) == 8
    costs = [one.kl_from_mean + one.kl_from_variance for one in metrics.code]
    assert costs == sorted(costs, reverse=True)
    assert sum(one.kl_from_mean for one in metrics.code) == pytest.approx(
        metrics.metrics["kl_from_mean"].value, rel=1e-6
    )
    assert not read_report(tiny("gan").report)[0].code
