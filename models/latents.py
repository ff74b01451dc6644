"""Latent vectors as a function of (seed, index) alone.

Philox4x64-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", section 3.3), keyed
by the seed, with the counter at the index; 53-bit uniforms; Box and Muller (1958) in float64; rounded
to float32. Any client can make the same latent: no state, no library's sampler, no order of calls.

Counter words, least significant first: ``[block, index, 0, 0]``; key words: ``[seed, 0]``. Block ``j``
gives the components ``4j .. 4j+3``. It is written here instead of taken from numpy's generators because
numpy promises the raw Philox stream but not its samplers, and one call here fills many counters at once.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_MULTIPLIER_0 = np.uint64(0xD2E7470EE14C6C93)
_MULTIPLIER_1 = np.uint64(0xCA5A826395121157)
_WEYL_0 = np.uint64(0x9E3779B97F4A7C15)
_WEYL_1 = np.uint64(0xBB67AE8584CAA73B)
_ROUNDS = 10
_LOW_32 = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)

Words = npt.NDArray[np.uint64]


def _multiply_high_low(a: np.uint64, b: Words) -> tuple[Words, Words]:
    """The 128-bit product of two 64-bit words, as its high and its low half."""
    a_low, a_high = a & _LOW_32, a >> _32
    b_low, b_high = b & _LOW_32, b >> _32
    low_low = a_low * b_low
    middle = a_high * b_low + (low_low >> _32)
    middle_2 = a_low * b_high + (middle & _LOW_32)
    high = a_high * b_high + (middle >> _32) + (middle_2 >> _32)
    return high, a * b


def philox4x64(counter: Words, key: tuple[int, int]) -> Words:
    """The Philox4x64-10 block function.

    Args:
        counter: uint64 [..., 4], least significant word first.
        key: two 64-bit words.

    Returns:
        uint64 [..., 4]: four random words for every counter.
    """
    with np.errstate(over="ignore"):
        x0, x1, x2, x3 = (counter[..., word].copy() for word in range(4))
        key_0, key_1 = np.uint64(key[0]), np.uint64(key[1])
        for _ in range(_ROUNDS):
            high_0, low_0 = _multiply_high_low(_MULTIPLIER_0, x0)
            high_1, low_1 = _multiply_high_low(_MULTIPLIER_1, x2)
            x0, x1, x2, x3 = high_1 ^ x1 ^ key_0, low_1, high_0 ^ x3 ^ key_1, low_0
            key_0, key_1 = key_0 + _WEYL_0, key_1 + _WEYL_1
    return np.stack([x0, x1, x2, x3], axis=-1)


def standard_normal_latents(
    seed: int, count: int, latent_size: int, *, first_index: int = 0
) -> npt.NDArray[np.float32]:
    """Latents ``first_index .. first_index + count - 1`` of a seed.

    Args:
        seed: 0 .. 2**64 - 1.
        count: how many latents, N.
        latent_size: components of each, Z.
        first_index: 0 .. 2**64 - count.

    Returns:
        float32 [N, Z], each component standard normal.

    Raises:
        ValueError: if an argument is out of range.
    """
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed must be in 0 .. 2**64 - 1, got {seed}")
    if count < 0 or latent_size < 1 or first_index < 0 or first_index + count > 2**64:
        raise ValueError(
            f"count >= 0, latent_size >= 1 and first_index >= 0 are needed, got {count}, {latent_size}, {first_index}"
        )
    blocks = -(-latent_size // 4)
    counter = np.zeros((count, blocks, 4), dtype=np.uint64)
    counter[..., 0] = np.arange(blocks, dtype=np.uint64)
    counter[..., 1] = np.uint64(first_index) + np.arange(count, dtype=np.uint64)[:, None]
    words = philox4x64(counter, (seed, 0)).reshape(count, blocks * 2, 2)
    uniform = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53  # in [0, 1)
    radius = np.sqrt(-2.0 * np.log1p(-uniform[..., 0]))
    angle = 2.0 * np.pi * uniform[..., 1]
    normal = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    return normal.reshape(count, blocks * 4)[:, :latent_size].astype(np.float32)
