"""Latents are a function of (seed, index) alone, standard normal, and reproducible from the documented words."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from models.latents import philox4x64, standard_normal_latents

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "latents.json").read_text(encoding="utf-8"))


def numpy_words(seed: int, index: int, count: int) -> npt.NDArray[np.uint64]:
    """The raw stream of numpy's Philox, from block 0 of ``index`` on (numpy increments before each block)."""
    counter = ((index << 64) - 1) % 2**256
    return np.asarray(np.random.Philox(counter=counter, key=seed).random_raw(count), dtype=np.uint64)


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        (
            (0, 0, 0, 0),
            (0, 0),
            (0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B),
        ),
        (
            (2**64 - 1,) * 4,
            (2**64 - 1,) * 2,
            (0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0),
        ),
        (
            (0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89),
            (0x452821E638D01377, 0xBE5466CF34E90C6C),
            (0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6),
        ),
    ],
    ids=["zeros", "ones", "pi"],
)
def test_block_function_gives_the_known_answers(
    counter: tuple[int, ...], key: tuple[int, int], words: tuple[int, ...]
) -> None:
    """The known-answer vectors published with Random123."""
    assert philox4x64(np.array(counter, dtype=np.uint64), key).tolist() == list(words)


@pytest.mark.parametrize("seed", [0, 1, 2**63, 2**64 - 1])
@pytest.mark.parametrize("index", [0, 3, 2**40, 2**64 - 1])
def test_words_are_numpys_raw_stream(seed: int, index: int) -> None:
    blocks = 5
    counter = np.zeros((blocks, 4), dtype=np.uint64)
    counter[:, 0] = np.arange(blocks)
    counter[:, 1] = index
    np.testing.assert_array_equal(philox4x64(counter, (seed, 0)).reshape(-1), numpy_words(seed, index, 4 * blocks))


def test_block_function_leaves_its_counter_alone() -> None:
    counter = np.arange(8, dtype=np.uint64).reshape(2, 4)
    philox4x64(counter, (1, 2))
    np.testing.assert_array_equal(counter, np.arange(8).reshape(2, 4))


@pytest.mark.parametrize("latent_size", [1, 2, 3, 4, 5, 17, 64])
def test_components_are_box_muller_of_53_bit_uniforms(latent_size: int) -> None:
    found = standard_normal_latents(11, 3, latent_size, first_index=2**33)
    for row in range(3):
        words = numpy_words(11, 2**33 + row, 4 * math.ceil(latent_size / 4))
        expected = []
        for first, second in zip(words[0::2], words[1::2], strict=True):
            radius = math.sqrt(-2.0 * math.log1p(-(int(first) >> 11) / 2**53))
            angle = 2.0 * math.pi * (int(second) >> 11) / 2**53
            expected += [radius * math.cos(angle), radius * math.sin(angle)]
        np.testing.assert_allclose(found[row], expected[:latent_size], rtol=1e-6, atol=1e-7)


def test_committed_vectors() -> None:
    assert len(GOLDEN["vectors"]) >= 5
    for vector in GOLDEN["vectors"]:
        expected = np.array(vector["latent"], dtype=np.float32)
        found = standard_normal_latents(vector["seed"], 1, len(expected), first_index=vector["index"])[0]
        np.testing.assert_array_equal(found, expected)
        assert found.astype("<f4").tobytes().hex() == vector["float32_little_endian_hex"]


def test_a_latent_depends_on_seed_and_index_alone() -> None:
    whole = standard_normal_latents(7, 50, 6)
    np.testing.assert_array_equal(whole[10:31], standard_normal_latents(7, 21, 6, first_index=10))
    np.testing.assert_array_equal(whole[49], standard_normal_latents(7, 1, 6, first_index=49)[0])
    np.testing.assert_array_equal(whole, np.concatenate([standard_normal_latents(7, 20, 6), whole[20:]]))


def test_a_shorter_latent_is_the_start_of_a_longer_one() -> None:
    np.testing.assert_array_equal(standard_normal_latents(7, 5, 64)[:, :9], standard_normal_latents(7, 5, 9))


def test_seed_and_index_both_matter() -> None:
    base = standard_normal_latents(5, 1, 8)
    assert not np.any(base == standard_normal_latents(6, 1, 8))
    assert not np.any(base == standard_normal_latents(5, 1, 8, first_index=1))
    # neither is folded into the other: (seed + 1, index) is not (seed, index + 1)
    assert not np.any(standard_normal_latents(6, 1, 8) == standard_normal_latents(5, 1, 8, first_index=1))


def test_the_last_index_is_reachable() -> None:
    last = standard_normal_latents(0, 2, 4, first_index=2**64 - 2)
    np.testing.assert_array_equal(last[1], standard_normal_latents(0, 1, 4, first_index=2**64 - 1)[0])
    assert np.isfinite(last).all()


def test_values_are_standard_normal() -> None:
    values = standard_normal_latents(2024, 4000, 16).astype(np.float64)
    samples = values.size
    assert abs(values.mean()) < 4.0 / math.sqrt(samples)
    assert abs(values.var() - 1.0) < 4.0 * math.sqrt(2.0 / samples)
    assert abs((values**3).mean()) < 4.0 * math.sqrt(15.0 / samples)
    assert abs((values**4).mean() - 3.0) < 4.0 * math.sqrt(96.0 / samples)
    # Kolmogorov and Smirnov, at the level of one in a thousand
    ordered = torch.special.ndtr(torch.from_numpy(np.sort(values.ravel()))).numpy()
    steps = np.arange(samples + 1) / samples
    assert max((ordered - steps[:-1]).max(), (steps[1:] - ordered).max()) < 1.95 / math.sqrt(samples)


def test_components_and_neighbours_are_uncorrelated() -> None:
    values = standard_normal_latents(3, 5000, 8).astype(np.float64)
    neighbours = np.concatenate([values[:-1], values[1:], values[:-1] ** 2 - 1.0], axis=1)
    correlation = np.corrcoef(neighbours, rowvar=False)
    np.fill_diagonal(correlation, 0.0)
    assert np.abs(correlation).max() < 5.0 / math.sqrt(5000)


def test_shape_and_type() -> None:
    assert standard_normal_latents(0, 3, 5).shape == (3, 5)
    assert standard_normal_latents(0, 0, 5).shape == (0, 5)
    assert standard_normal_latents(0, 3, 5).dtype == np.float32


@pytest.mark.parametrize(
    ("seed", "count", "latent_size", "first_index"),
    [(-1, 1, 1, 0), (2**64, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, 0), (0, 1, 1, -1), (0, 2, 1, 2**64 - 1)],
)
def test_arguments_out_of_range_are_refused(seed: int, count: int, latent_size: int, first_index: int) -> None:
    with pytest.raises(ValueError, match=r"needed|must be"):
        standard_normal_latents(seed, count, latent_size, first_index=first_index)
