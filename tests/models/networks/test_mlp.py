"""Multilayer perceptrons: shapes, size, start and what they compute."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import leaky_relu, linear

from models.config import MlpSettings
from models.networks.mlp import MlpFromSample, MlpToSample

SHAPES = [(1,), (2,), (7,), (1, 4, 4), (3, 5, 6)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rows", [1, 5])
def test_shapes(shape: tuple[int, ...], rows: int) -> None:
    settings = MlpSettings(hidden_width=8, hidden_layers=2)
    assert MlpToSample(3, shape, settings)(torch.zeros(rows, 3)).shape == (rows, *shape)
    assert MlpFromSample(shape, 4, settings)(torch.zeros(rows, *shape)).shape == (rows, 4)


@pytest.mark.parametrize(("width", "layers"), [(8, 1), (16, 3)])
def test_number_of_parameters(width: int, layers: int) -> None:
    network = MlpFromSample((2, 3, 3), 5, MlpSettings(hidden_width=width, hidden_layers=layers))
    expected = (18 + 1) * width + (layers - 1) * (width + 1) * width + (width + 1) * 5
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


def test_it_computes_affine_maps_and_leaky_rectifiers() -> None:
    torch.manual_seed(0)
    network = MlpFromSample((2, 2), 3, MlpSettings(hidden_width=4, hidden_layers=2)).double()
    sample = torch.randn(6, 2, 2, dtype=torch.float64)
    first, second, last = (layer for layer in network.modules() if isinstance(layer, nn.Linear))
    hidden = leaky_relu(linear(sample.reshape(6, 4), first.weight, first.bias), 0.2)
    hidden = leaky_relu(linear(hidden, second.weight, second.bias), 0.2)
    torch.testing.assert_close(network(sample), linear(hidden, last.weight, last.bias))


def test_output_is_not_squashed() -> None:
    torch.manual_seed(0)
    network = MlpToSample(4, (2,), MlpSettings(hidden_width=16))
    assert network(100.0 * torch.randn(64, 4)).abs().max() > 10.0
    assert network(100.0 * torch.randn(64, 4)).min() < 0.0


def test_weights_start_with_the_variance_that_leaky_rectifiers_keep() -> None:
    torch.manual_seed(0)
    network = MlpFromSample((256,), 256, MlpSettings(hidden_width=256, hidden_layers=2))
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            expected = math.sqrt(2.0 / (1.0 + 0.2**2) / layer.in_features)
            assert layer.weight.std().item() == pytest.approx(expected, rel=0.03)
            assert layer.bias.abs().max() == 0.0


def test_signal_neither_dies_nor_explodes_with_depth() -> None:
    torch.manual_seed(0)
    network = MlpFromSample((256,), 256, MlpSettings(hidden_width=256, hidden_layers=20))
    assert 0.2 < network(torch.randn(64, 256)).std().item() < 5.0


def test_no_sample_influences_another() -> None:
    torch.manual_seed(0)
    network, samples = MlpFromSample((5,), 2, MlpSettings(hidden_width=8)), torch.randn(6, 5)
    torch.testing.assert_close(network(samples), torch.cat([network(sample[None]) for sample in samples]))


def test_tanh_networks_compute_affine_maps_and_hyperbolic_tangents() -> None:
    torch.manual_seed(0)
    network = MlpFromSample((2, 2), 3, MlpSettings(hidden_width=4, hidden_layers=2, activation="tanh")).double()
    sample = torch.randn(6, 2, 2, dtype=torch.float64)
    first, second, last = (layer for layer in network.modules() if isinstance(layer, nn.Linear))
    hidden = torch.tanh(linear(sample.reshape(6, 4), first.weight, first.bias))
    hidden = torch.tanh(linear(hidden, second.weight, second.bias))
    torch.testing.assert_close(network(sample), linear(hidden, last.weight, last.bias))


def test_tanh_networks_start_uniform_with_the_variance_that_a_tanh_keeps() -> None:
    """Glorot and Bengio 2010, eq. 16: uniform within sqrt(6 / (fan in + fan out))."""
    torch.manual_seed(0)
    network = MlpFromSample((256,), 128, MlpSettings(hidden_width=200, hidden_layers=2, activation="tanh"))
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            limit = math.sqrt(6.0 / (layer.in_features + layer.out_features))
            assert layer.weight.abs().max().item() == pytest.approx(limit, rel=0.01)
            assert layer.weight.abs().max().item() <= limit
            assert layer.weight.std().item() == pytest.approx(limit / math.sqrt(3.0), rel=0.02)
            assert layer.bias.abs().max() == 0.0
