"""Every implementation of the latents gives the committed vectors, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import models.latents
import serving.predict.latents

DOCUMENT = json.loads((Path(__file__).parents[1] / "golden" / "latents.json").read_text())
IMPLEMENTATIONS = [models.latents.standard_normal_latents, serving.predict.latents.standard_normal_latents]


@pytest.mark.parametrize("latents", IMPLEMENTATIONS, ids=["models", "serving"])
def test_latents_are_the_committed_vectors(latents: Callable[..., np.ndarray]) -> None:
    assert DOCUMENT["algorithm"] == serving.predict.latents.ALGORITHM == models_algorithm()
    for vector in DOCUMENT["vectors"]:
        expected = np.frombuffer(bytes.fromhex(vector["float32_little_endian_hex"]), dtype="<f4")
        np.testing.assert_array_equal(expected, np.array(vector["latent"], dtype=np.float32))
        found = latents(vector["seed"], 1, len(expected), first_index=vector["index"])
        assert found.dtype == np.float32
        assert found[0].tobytes() == expected.tobytes(), f"seed {vector['seed']} index {vector['index']}"


def models_algorithm() -> str:
    from components.export.signature import LATENT_ALGORITHM

    return LATENT_ALGORITHM


def test_both_agree_on_many() -> None:
    for seed, count, size in [(0, 40, 64), (9, 7, 1), (2**64 - 1, 3, 100)]:
        a, b = (latents(seed, count, size) for latents in IMPLEMENTATIONS)
        assert a.tobytes() == b.tobytes()


def test_a_latent_depends_on_its_seed_and_index_alone() -> None:
    latents = serving.predict.latents.standard_normal_latents
    np.testing.assert_array_equal(latents(5, 8, 10)[3:5], latents(5, 2, 10, first_index=3))
    assert latents(5, 0, 10).shape == (0, 10)
    assert not np.array_equal(latents(5, 1, 10), latents(6, 1, 10))
