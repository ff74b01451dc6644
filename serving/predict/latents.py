"""Latent vectors as a function of (seed, index) alone: ``philox4x64-10/box-muller/float32``.

Philox4x64-10 (Salmon et al. 2011) keyed by the seed; 53-bit uniforms; Box and Muller (1958) in float64;
rounded to float32. Counter words, least significant first: ``[block, index, 0, 0]``; block ``j`` gives the
components ``4j .. 4j+3``. The words come from numpy's raw Philox stream, which numpy promises to keep;
its samplers are not used. ``tests/golden/latents.json`` holds vectors for any other implementation.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

ALGORITHM = "philox4x64-10/box-muller/float32"


def standard_normal_latents(
    seed: int, count: int, latent_size: int, *, first_index: int = 0
) -> npt.NDArray[np.float32]:
    """Latents ``first_index .. first_index + count - 1`` of a seed, ``0 <= seed < 2**64``.

    Returns:
        float32 [N, Z], each component standard normal.
    """
    blocks = -(-latent_size // 4)
    words = np.empty((count, blocks * 4), dtype=np.uint64)
    # numpy increments the 256-bit counter before each block, hence one less than block 0 of this index.
    stream = np.random.Philox(counter=((first_index << 64) - 1) % (1 << 256), key=seed)
    for row in range(count):
        if row:
            stream.advance((1 << 64) - blocks)  # from behind the last block of an index to before the next one's first
        words[row] = stream.random_raw(blocks * 4)
    uniform = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53  # in [0, 1)
    radius = np.sqrt(-2.0 * np.log1p(-uniform[:, 0::2]))
    angle = 2.0 * np.pi * uniform[:, 1::2]
    normal = np.empty_like(uniform)
    normal[:, 0::2] = radius * np.cos(angle)
    normal[:, 1::2] = radius * np.sin(angle)
    return normal[:, :latent_size].astype(np.float32)
