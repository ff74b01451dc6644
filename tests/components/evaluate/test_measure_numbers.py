"""The report's numbers of made-up samples, codings and posteriors, each known by hand or in closed form."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from components.evaluate import coding as module
from components.evaluate.coding import Coding, code_dimensions, coding_metrics
from components.evaluate.documents import Metric
from components.evaluate.measure import _holes, _mixture, compare, sample_metrics
from components.evaluate.scored import Judged, Scored, Sums
from components.export.signature import Likelihood
from models.latents import standard_normal_latents
from models.metrics.bounds import aggregate_posterior_kl
from models.metrics.estimate import NORMAL_QUANTILE
from models.metrics.gaussian import GaussianStatistics
from models.metrics.sharpness import Sharpness

MODES = 3
SHIFT = np.array([3.0, 4.0])


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(shape)


def scored(
    features: np.ndarray,
    modes: list[int] | None = None,
    *,
    unsound: int = 0,
    kept: int | None = None,
    sharp: Any = None,
) -> Scored:
    """Rows whose features are given, and how many lie in which mode."""
    features = features.astype(np.float32)
    counts = np.array([len(features), 0, 0] if modes is None else modes)
    logits = np.eye(MODES, dtype=np.float32)[np.repeat(np.arange(MODES), counts)]
    detail = Judged(features[:kept], features[:kept], logits[:kept])
    return Scored(Sums(GaussianStatistics.of(features), counts, unsound, sharp), detail, "")


def values(metrics: dict[str, Metric]) -> dict[str, float | None]:
    return {name: metric.value for name, metric in metrics.items()}


# -- modes --------------------------------------------------------------------------------------------

SAMPLES, REAL = [120, 60, 20], [40, 40, 20]
FLOOR = 2 / (2 * 200) + 2 / (2 * 100)


def test_each_direction_of_the_modes_kl_is_its_own_and_less_both_floors() -> None:
    metrics = compare(scored(normal(200, 2), SAMPLES), scored(normal(100, 2, seed=1), REAL), trained(), seed=0)
    forward = 0.6 * math.log(0.6 / 0.4) + 0.3 * math.log(0.3 / 0.4) + 0.1 * math.log(0.1 / 0.2)
    backward = 0.4 * math.log(0.4 / 0.6) + 0.4 * math.log(0.4 / 0.3) + 0.2 * math.log(0.2 / 0.1)
    assert abs(forward - backward) > 0.001
    assert metrics["mode_kl_samples_to_data"].value == pytest.approx(forward - FLOOR, rel=1e-12)
    assert metrics["mode_kl_data_to_samples"].value == pytest.approx(backward - FLOOR, rel=1e-12)
    assert metrics["mode_kl_samples_to_data"].unit == metrics["mode_kl_data_to_samples"].unit == "nats"
    assert {
        metrics[name].count for name in ("mode_kl_samples_to_data", "mode_kl_data_to_samples", "modes_covered")
    } == {200}


def test_the_weakest_mode_by_its_share_and_by_its_share_of_the_data() -> None:
    metrics = compare(scored(normal(200, 2), SAMPLES), scored(normal(100, 2, seed=1), REAL), trained(), seed=0)
    smallest = metrics["smallest_mode_share"]
    assert smallest.value == pytest.approx(0.1) and smallest.count == 200
    assert smallest.interval == pytest.approx((0.0656, 0.1494), abs=1e-4)  # Wilson 1927
    assert metrics["relative_mode_share"].value == pytest.approx(0.5)  # .1 of .2; the others 1.5 and .75
    assert metrics["modes_covered"].value == 3.0


def test_a_missed_mode_is_endless_in_one_direction_only() -> None:
    metrics = compare(scored(normal(200, 2), [150, 50, 0]), scored(normal(100, 2, seed=1), REAL), trained(), seed=0)
    assert metrics["mode_kl_samples_to_data"].value == pytest.approx(
        0.75 * math.log(0.75 / 0.4) + 0.25 * math.log(0.25 / 0.4) - FLOOR
    )
    assert metrics["mode_kl_data_to_samples"].value is None
    assert metrics["modes_covered"].value == 2.0
    assert metrics["relative_mode_share"].value == metrics["smallest_mode_share"].value == 0.0


def test_a_mode_that_the_data_has_not_is_no_mode_to_miss() -> None:
    metrics = compare(scored(normal(200, 2), SAMPLES), scored(normal(100, 2, seed=1), [80, 20, 0]), trained(), seed=0)
    assert metrics["relative_mode_share"].value == pytest.approx(0.75)  # .6 of .8; 1.5 of the other
    assert metrics["mode_kl_samples_to_data"].value is None


# -- distances, quality and variety, copies -----------------------------------------------------------


def trained(rows: int = 100) -> Judged:
    features = normal(rows, 2, seed=9).astype(np.float32)
    return Judged(features[:0], features, np.zeros((rows, MODES), dtype=np.float32))


def test_distances_are_of_samples_from_real_rows() -> None:
    """Moved by (3, 4): the Fréchet distance of equal covariances is the squared shift."""
    own, real = normal(400, 2), normal(400, 2)
    metrics = compare(scored(own + SHIFT), scored(real), trained(), seed=0)
    assert metrics["frechet_distance"].value == pytest.approx(25.0, abs=0.1)
    assert metrics["frechet_extrapolated"].value == pytest.approx(25.0, abs=1.0)
    assert metrics["kernel_distance"].value is not None and metrics["kernel_distance"].value > 1.0
    assert "frechet_of_all_samples" not in metrics
    assert {metrics[name].count for name in ("frechet_distance", "kernel_distance")} == {400}


def test_of_more_samples_than_are_held_the_plain_distance_is_stated_too() -> None:
    metrics = compare(scored(normal(400, 2) + SHIFT, kept=300), scored(normal(400, 2)), trained(), seed=0)
    assert metrics["frechet_of_all_samples"].value == pytest.approx(25.0, rel=1e-5)
    assert metrics["frechet_of_all_samples"].count == 400 and metrics["frechet_distance"].count == 300


def test_half_of_the_data_is_precise_and_recalls_half() -> None:
    real = normal(300, 2, seed=1) * 0.1 + np.where(np.arange(300) % 2, 10.0, -10.0)[:, None]
    half = normal(300, 2, seed=2) * 0.1 - 10.0
    found = values(compare(scored(half), scored(real), trained(), seed=0))
    assert found["precision"] is not None and found["recall"] is not None and found["coverage"] is not None
    assert found["precision"] > 0.9 and found["recall"] == pytest.approx(0.5, abs=0.06)
    assert found["coverage"] == pytest.approx(0.5, abs=0.06)
    other = values(compare(scored(real), scored(half), trained(), seed=0))
    assert other["recall"] is not None and other["recall"] > 0.9
    assert other["precision"] == pytest.approx(0.5, abs=0.06)


def test_copies_of_training_rows_and_twins_are_counted() -> None:
    training = Judged(np.zeros((0, 4)), normal(200, 4, seed=5).astype(np.float32), np.zeros((200, MODES), np.float32))
    own = normal(200, 4, seed=6)
    own[:20] = training.features[:20]  # a tenth: copies
    own[100:140] = own[60:100]  # and two fifths: twins
    real = scored(normal(200, 4, seed=7))
    metrics = compare(scored(own), real, training, seed=0)
    assert metrics["memorized_share"].value == pytest.approx(0.1, abs=0.02)
    assert metrics["duplicate_share"].value == pytest.approx(0.4, abs=0.05)
    sound = compare(scored(normal(200, 4, seed=8)), real, training, seed=0)
    assert sound["memorized_share"].value == pytest.approx(0.0, abs=0.01)
    assert sound["duplicate_share"].value == pytest.approx(0.0, abs=0.05)
    assert sound["memorization_ratio"].value == pytest.approx(1.0, abs=0.15)


def test_what_is_not_finite_has_no_number() -> None:
    broken = normal(50, 2)
    broken[3, 1] = math.nan
    metrics = compare(scored(broken), scored(normal(50, 2, seed=1)), trained(), seed=0)
    unknown = {name for name, value in values(metrics).items() if value is None}
    assert {"frechet_distance", "kernel_distance", "precision", "recall", "memorized_share", "support_size"} <= unknown
    assert metrics["modes_covered"].value == 1.0


def test_samples_alone_tell_unsoundness_sharpness_and_what_the_extractor_is_worth() -> None:
    sharp, blurred = Sharpness(200, 800.0, 3300.0), Sharpness(100, 800.0, 6500.0)  # means 4 and 8
    real = scored(normal(100, 2, seed=1), REAL, sharp=blurred)
    reference: Any = SimpleNamespace(held_out=real, training=trained())
    extractor: Any = SimpleNamespace(held_out_accuracy=0.97, sha256="ab", feature_width=2)
    manifest: Any = SimpleNamespace(splits={"test": SimpleNamespace(rows=77)})
    samples = scored(normal(200, 2), SAMPLES, unsound=30, sharp=sharp)
    metrics = sample_metrics(samples, reference, extractor, manifest, seed=0)
    assert metrics["unsound_sample_share"].value == pytest.approx(0.15) and metrics["unsound_sample_share"].count == 200
    assert metrics["extractor_accuracy"].value == 0.97 and metrics["extractor_accuracy"].count == 77
    assert metrics["held_out_rows_per_feature"].value == 50.0
    assert metrics["sharpness_ratio"].value == pytest.approx(0.5)
    for side, ratio in ((Sharpness(100, 100.0, 120.0), 4.0), (Sharpness(100, 0.0, 0.0), None), (None, None)):
        reference.held_out = scored(normal(100, 2, seed=1), REAL, sharp=side)
        found = sample_metrics(samples, reference, extractor, manifest, seed=0)
        assert values(found).get("sharpness_ratio") == (None if ratio is None else pytest.approx(ratio))
        assert ("sharpness_ratio" in found) is (ratio is not None)
    without = {name for name, metric in metrics.items() if not metric.extractor_sha256}
    assert without == {"unsound_sample_share", "sharpness_ratio"}


def test_a_mixtures_modes_are_known() -> None:
    centers = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    rows = np.array([[0.0, 0.2], [10.0, 0.29], [10.0, 0.31], [5.0, 5.0]], dtype=np.float32)
    judged = Judged(rows, rows, rows)
    metrics = _mixture(judged, centers, 0.1)
    assert metrics["high_quality_share"].value == 0.5 and metrics["high_quality_share"].count == 4
    assert metrics["modes_recovered"].value == 2.0


@pytest.mark.parametrize(
    ("prior", "coded", "expected"),
    [
        (6.0, 2.0, 3.0),
        (2.0, 6.0, 1 / 3),
        (1.0, 0.5, 2.0),
        (6.0, 0.0, None),
        (6.0, None, None),
        (None, 2.0, None),
        (6.0, -1.0, None),
    ],
)
def test_holes_are_the_priors_distance_of_the_reconstructions(
    prior: float | None, coded: float | None, expected: float | None
) -> None:
    found = _holes(
        {"frechet_distance": Metric(value=prior, count=40), "frechet_reconstructions": Metric(value=coded, count=9)}
    )
    if expected is None:
        assert found == {}
    else:
        assert found["latent_hole_ratio"].value == pytest.approx(expected)
        assert found["latent_hole_ratio"].count == 40


# -- codings ------------------------------------------------------------------------------------------

VARIANCES = (0.25, 4.0)
FROM_VARIANCE = [0.5 * (variance - math.log(variance) - 1.0) for variance in VARIANCES]
ROWS = 12


def made_up(**changes: Any) -> Coding:
    """Means (±2, 0.05 or 0.15), of variances 48/11 and .0025 * 12/11; posteriors of the same two variances."""
    sign = np.where(np.arange(ROWS) % 2, 1.0, -1.0)
    mean = np.column_stack([2.0 * sign, 0.1 + 0.05 * sign]).astype(np.float32)
    features = normal(ROWS, 2).astype(np.float32)
    arguments: dict[str, Any] = {
        "mean": mean,
        "log_variance": np.broadcast_to(np.log(VARIANCES), mean.shape).astype(np.float32),
        "squared_error": np.arange(float(ROWS)),
        "negative_elbo": 100.0 + np.arange(float(ROWS)),
        "negative_log_likelihood": np.array([97.0, 99.0, 98.0]),
        "reconstructions": Judged(features, features, features),
    }
    return Coding(**(arguments | changes))


def held_out(shift: float = 0.0) -> Judged:
    features = normal(ROWS, 2).astype(np.float32) + np.float32(shift)
    rows = np.arange(ROWS * 8 * 8, dtype=np.uint8).reshape(ROWS, 8, 8, 1)
    return Judged(rows, features, features)


def test_the_two_parts_of_the_kl_are_the_means_and_the_variances() -> None:
    found = coding_metrics(made_up(), held_out(), 64, Likelihood(kind="bernoulli"))
    second = np.mean(np.square([0.05, 0.15]))
    assert found["kl_from_mean"].value == pytest.approx(0.5 * (4.0 + second), rel=1e-6)
    assert found["kl_from_variance"].value == pytest.approx(sum(FROM_VARIANCE), rel=1e-6)
    assert found["posterior_sigma"].value == pytest.approx((0.5 + 2.0) / 2.0, rel=1e-6)


def test_a_bounds_gap_is_what_it_lies_above_the_likelihood_of_the_same_rows() -> None:
    found = coding_metrics(made_up(), held_out(), 64, Likelihood(kind="discretized-logistic", log_scale=-3.0))
    assert found["negative_elbo"].value == 105.5 and found["negative_elbo"].count == ROWS
    assert found["negative_log_likelihood"].value == 98.0 and found["negative_log_likelihood"].count == 3
    gap = found["bound_gap"]  # 100 - 97, 101 - 99, 102 - 98
    assert gap.value == 3.0 and gap.count == 3
    half = NORMAL_QUANTILE * math.sqrt(1.0 / 3.0)
    assert gap.interval == pytest.approx((3.0 - half, 3.0 + half))
    assert found["bits_per_dimension"].value == pytest.approx(105.5 / (64 * math.log(2.0)))
    assert {found[name].unit for name in ("negative_elbo", "negative_log_likelihood", "bound_gap")} == {"nats"}


def test_what_is_in_use_and_how_far_all_codes_are_from_the_prior() -> None:
    coding = made_up()
    found = coding_metrics(coding, held_out(), 64, Likelihood(kind="bernoulli"))
    assert found["active_units"].value == 1.0
    # The two dimensions of the means go together: the covariance has a corner.
    covariance = np.array([[4.0 + 0.25, 0.1], [0.1, 0.0025 + 4.0]])
    closed = 0.5 * (np.trace(covariance) + 0.01 - 2.0 - math.log(np.linalg.det(covariance)))
    assert found["aggregate_posterior_kl"].value == pytest.approx(closed, rel=1e-6)
    assert found["aggregate_posterior_kl"].value == aggregate_posterior_kl(coding.mean, coding.log_variance)


def test_reconstructions_have_an_error_and_a_distance() -> None:
    found = coding_metrics(made_up(), held_out(3.0), 64, None)
    error = found["reconstruction_mean_squared_error"]
    assert error.value == 5.5 and error.count == ROWS
    half = NORMAL_QUANTILE * math.sqrt(13.0 / ROWS)  # 0 .. 11 vary by 13
    assert error.interval == pytest.approx((5.5 - half, 5.5 + half))
    assert found["frechet_reconstructions"].value == pytest.approx(18.0, rel=1e-4)  # both features by 3
    assert "negative_elbo" not in found


def test_information_and_neighbours_of_codes_that_enumerate_the_rows() -> None:
    """Codes in the order of the rows' brightness, far from each other: log N nats, and every neighbour kept."""
    at = np.arange(ROWS, dtype=np.float32)[:, None]
    rows = np.repeat((at * at).astype(np.float32), 5, axis=1)
    real = Judged(rows, held_out().features, held_out().logits)
    coding = made_up(mean=1000.0 * at * at, log_variance=np.zeros((ROWS, 1), dtype=np.float32))
    found = coding_metrics(coding, real, 5, None)
    assert found["mutual_information"].value == pytest.approx(math.log(ROWS))
    assert found["mutual_information"].unit == "nats, at most 2.5"
    assert found["code_neighbour_overlap"].value == 1.0
    assert found["code_neighbour_overlap"].unit == "share of 10, by chance 0.91"


def test_neighbours_are_not_asked_of_fewer_rows_than_there_are_to_find(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NEIGHBOURS", ROWS)
    assert "code_neighbour_overlap" not in coding_metrics(made_up(), held_out(), 64, None)
    monkeypatch.setattr(module, "NEIGHBOURS", ROWS - 1)
    assert coding_metrics(made_up(), held_out(), 64, None)["code_neighbour_overlap"].value == 1.0


def test_every_dimension_is_listed_with_what_it_costs_the_dearest_first() -> None:
    mean = made_up().mean[:, ::-1]
    first, second = code_dimensions(made_up(mean=mean, log_variance=made_up().log_variance))
    assert (first.dimension, second.dimension) == (1, 0)
    assert first.kl_from_mean == pytest.approx(2.0) and second.kl_from_mean == pytest.approx(0.5 * 0.0125)
    assert [first.kl_from_variance, second.kl_from_variance] == pytest.approx(FROM_VARIANCE[::-1], rel=1e-6)
    assert (first.posterior_sigma, second.posterior_sigma) == pytest.approx((2.0, 0.5))
    assert first.mean_variance == pytest.approx(48.0 / 11.0)
    assert second.mean_variance == pytest.approx(0.0025 * 12.0 / 11.0, rel=1e-5)
    assert code_dimensions(made_up(log_variance=None)) == []


def test_dear_is_what_both_parts_cost_together() -> None:
    """Means cost .5, 0, .405, 2, variances 0, .807, .318, 0: the order of neither part and not of their difference."""
    mean = np.broadcast_to(np.array([1.0, 0.0, 0.9, 2.0], dtype=np.float32), (ROWS, 4))
    log_variance = np.broadcast_to(np.log([1.0, 4.0, 0.25, 1.0]).astype(np.float32), (ROWS, 4))
    found = code_dimensions(made_up(mean=mean, log_variance=log_variance))
    assert [dimension.dimension for dimension in found] == [3, 1, 2, 0]


def test_an_autoencoder_has_no_posterior_to_speak_of_and_nan_is_no_number() -> None:
    coding = made_up(log_variance=None, squared_error=np.array([1.0, math.nan, *range(ROWS - 2)]))
    found = coding_metrics(coding, held_out(), 64, None)
    assert found["reconstruction_mean_squared_error"].value is None
    assert not {"kl_from_mean", "mutual_information", "posterior_sigma"} & found.keys()
    assert found["aggregate_posterior_kl"].value == aggregate_posterior_kl(coding.mean)


class LineSampler:
    """x = 2 z + 1 in the place of an exported decoder of vectors."""

    def run(self, latent: np.ndarray, outputs: list[str], first: int = 0) -> list[np.ndarray]:
        assert outputs == ["sample" if latent.shape[1] == 1 else "location"] and first == 0
        if latent.shape[1] > 1:
            return [latent.reshape(-1, 1, 2, 2)]
        return [2.0 * latent + 1.0]


def test_with_the_exact_posterior_every_draw_is_the_likelihood() -> None:
    """z ~ N(0, 1), x | z ~ N(2 z + 1, s²): p(x) = N(1, 4 + s²), whatever the noise and however many draws."""
    square = 0.3
    x = np.array([[0.4], [-1.2], [3.0]], dtype=np.float32)
    mean = 2.0 * (x - 1.0) / (4.0 + square)
    encoded = [mean, np.full_like(mean, math.log(square / (4.0 + square)))]
    likelihood = Likelihood(kind="gaussian", log_scale=math.log(square))
    expected = 0.5 * (np.square(x[:, 0] - 1.0) / (4.0 + square) + math.log(2 * math.pi * (4.0 + square)))
    sampler: Any = LineSampler()
    target = module._Target(likelihood, 0)
    for seed, draws in ((0, 1), (5, 7)):
        found = module._likelihood(sampler, likelihood, encoded, x, target, seed, draws)
        assert found == pytest.approx(expected, abs=1e-5)
    wrong = [mean + 0.3, encoded[1]]
    loose, tight = (module._likelihood(sampler, likelihood, wrong, x, target, 0, draws).mean() for draws in (1, 100))
    assert expected.mean() - 0.05 < tight < loose - 0.2


def test_a_draw_is_the_mean_and_the_noise_times_sigma() -> None:
    """Of pictures, whose location is the code itself: log p(z) - log q(z|x) and log p(x|z), number by number."""
    mean, log_variance, noise = (normal(5, 4, seed=seed).astype(np.float32) for seed in (1, 2, 3))
    picture = normal(5, 1, 2, 2, seed=4).astype(np.float32)
    sampler: Any = LineSampler()
    likelihood = Likelihood(kind="gaussian", log_scale=-0.4)
    over_posterior, of_draw = module._weights(sampler, likelihood, [mean, log_variance], noise, picture, 0)
    z = mean + noise * np.exp(0.5 * log_variance)
    assert over_posterior == pytest.approx((0.5 * (noise**2 + log_variance - z**2)).sum(axis=1), abs=1e-4)
    squared = np.square(picture.reshape(5, 4) - z) * math.exp(0.4)
    assert of_draw == pytest.approx(-(0.5 * (squared - 0.4 + math.log(2 * math.pi))).sum(axis=1), abs=1e-4)


def test_every_draw_has_noise_of_its_own_after_the_bounds() -> None:
    """Rows 0 .. H - 1 of the noise are the ELBO's; draw i of n rows takes those from H + i n on."""
    x, seed, draws = np.array([[0.4], [-1.2], [3.0], [9.0]], dtype=np.float32), 6, 3
    encoded = [np.array([[0.5], [-0.4]], dtype=np.float32), np.array([[-1.0], [0.5]], dtype=np.float32)]
    likelihood = Likelihood(kind="gaussian", log_scale=-0.4)
    sampler: Any = LineSampler()

    def target(rows: np.ndarray, first: int) -> np.ndarray:
        assert first == 0
        return rows

    wanted: Any = target
    found = module._likelihood(sampler, likelihood, encoded, x, wanted, seed, draws)
    weights = []
    for draw in range(draws):
        noise = standard_normal_latents(seed + 2**63, 2, 1, first_index=4 + 2 * draw)
        weights.append(np.add(*module._weights(sampler, likelihood, encoded, noise, x[:2], 0)))
    assert found == pytest.approx(-np.log(np.exp(weights).mean(axis=0)), rel=1e-9)


def test_pixels_are_seen_as_the_decoder_makes_them() -> None:
    rows = np.arange(24, dtype=np.uint8).reshape(1, 2, 4, 3) * 10
    found = module._as_decoded(rows)
    assert found.shape == (1, 3, 2, 4) and found.dtype == np.float32
    assert found[0, 2, 1, 3] == pytest.approx(rows[0, 1, 3, 2] / 255.0)
    grey = module._Target(Likelihood(kind="bernoulli"), 0)(rows, 0)
    np.testing.assert_array_equal(grey, found)


def test_drawn_pixels_are_white_as_often_as_they_are_bright_and_the_same_each_time() -> None:
    rows = np.broadcast_to(np.array([0, 64, 255], dtype=np.uint8), (40, 10, 10, 3))
    drawn = module._Target(Likelihood(kind="bernoulli", binarized=True), 3)
    found = drawn(rows, 0)
    assert set(np.unique(found)) == {0.0, 1.0}
    assert found.mean(axis=(0, 2, 3)) == pytest.approx([0.0, 64 / 255, 1.0], abs=0.03)
    np.testing.assert_array_equal(found, drawn(rows, 0))
    assert not np.array_equal(found, drawn(rows, 2048))
