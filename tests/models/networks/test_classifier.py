"""The networks whose features and classes generators are judged by."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import MultivariateNormal

from models.mixtures import grid
from models.networks.classifier import Classifier, NearestCenter


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 17, 40)])
def test_shapes(shape: tuple[int, int, int]) -> None:
    features, logits = Classifier(shape, 2, 7, 5)(torch.rand(3, *shape))
    assert features.shape == (3, 7)
    assert logits.shape == (3, 5)


def test_logits_are_the_head_on_the_rectified_features() -> None:
    torch.manual_seed(0)
    classifier = Classifier((1, 8, 8), 2, 7, 5).eval()
    features, logits = classifier(torch.rand(3, 1, 8, 8))
    torch.testing.assert_close(logits, features.clamp_min(0.0) @ classifier.head.weight.T + classifier.head.bias)
    assert features.min() < 0.0  # the features themselves are not rectified


def test_each_picture_is_judged_alone_and_repeatably() -> None:
    torch.manual_seed(0)
    classifier, images = Classifier((1, 12, 12), 2, 7, 5).eval(), torch.rand(6, 1, 12, 12)
    one_by_one = [classifier(image[None]) for image in images]
    for part, found in enumerate(classifier(images)):
        expected = torch.cat([output[part] for output in one_by_one])
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_dropout_works_in_training_alone() -> None:
    torch.manual_seed(0)
    classifier, images = Classifier((1, 12, 12), 4, 7, 5), torch.rand(4, 1, 12, 12)
    assert all(module.training for module in classifier.modules())
    assert not torch.equal(classifier(images)[0], classifier(images)[0])
    classifier.eval()
    assert torch.equal(classifier(images)[0], classifier(images)[0])


def test_grey_is_the_origin() -> None:
    """[0, 1] is moved to [-1, 1]: a half-grey picture leaves every bias (all zero at the start) as it is."""
    torch.manual_seed(0)
    features, logits = Classifier((1, 8, 8), 2, 7, 5).eval()(torch.full((1, 1, 8, 8), 0.5))
    assert features.abs().max() == 0.0
    assert logits.abs().max() == 0.0


def test_it_learns_two_classes() -> None:
    torch.manual_seed(0)
    classifier = Classifier((1, 8, 8), 4, 8, 2)
    labels = torch.arange(64) % 2
    images = 0.3 * torch.rand(64, 1, 8, 8)
    images[labels == 1, :, :, :4] += 0.6  # bright on the left
    optimizer = torch.optim.Adam(classifier.parameters(), lr=1e-2)
    for _ in range(40):
        loss = torch.nn.functional.cross_entropy(classifier(images)[1], labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (classifier.eval()(images)[1].argmax(dim=1) == labels).float().mean() > 0.95


def test_the_nearest_center_wins() -> None:
    centers = torch.from_numpy(grid().centers).float()
    samples = 5.0 * torch.rand(400, 2, generator=torch.Generator().manual_seed(0))
    features, logits = NearestCenter(centers)(samples)
    assert torch.equal(features, samples)
    assert torch.equal(logits.argmax(dim=1), torch.cdist(samples, centers).argmin(dim=1))


def test_its_softmax_is_the_posterior_of_unit_gaussians() -> None:
    generator = torch.Generator().manual_seed(0)
    centers = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    samples = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    log_likelihood = MultivariateNormal(centers, torch.eye(3, dtype=torch.float64)).log_prob(samples[:, None])
    _, logits = NearestCenter(centers)(samples)
    torch.testing.assert_close(logits.softmax(dim=1), log_likelihood.softmax(dim=1))


def test_its_centers_are_saved_but_not_trained() -> None:
    network = NearestCenter(torch.zeros(2, 2))
    assert list(network.state_dict()) == ["centers"]
    assert not list(network.parameters())
