"""Rows become numbers chunk by chunk: the same bits whatever the threads, and no more memory for more of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components import environment
from components.evaluate import reference, scored
from components.evaluate.reference import read_reference
from components.evaluate.sampling import Sampler
from components.evaluate.scored import Chunk, Scored, in_threads, score
from components.export.bundle import read_bundle
from components.extractor.reader import read_extractor
from components.prepare.core import prepare
from components.prepare.dataset import read_manifest, read_split
from components.prepare.settings import DataSettings
from models.latents import standard_normal_latents

ExtractorOf = Callable[[Path], Path]


def equal(one: Scored, other: Scored) -> bool:
    return (
        one.rows_sha256 == other.rows_sha256
        and np.array_equal(one.sums.features.mean, other.sums.features.mean)
        and np.array_equal(one.sums.features.scatter, other.sums.features.scatter)
        and np.array_equal(one.sums.modes, other.sums.modes)
        and one.sums.sharpness == other.sums.sharpness
        and np.array_equal(one.detail.features, other.detail.features)
        and np.array_equal(one.detail.rows, other.detail.rows)
    )


def pictures(rows: int, seed: int = 0) -> list[Callable[[], Chunk]]:
    random = np.random.Generator(np.random.PCG64(seed))
    values = random.integers(0, 256, (rows, 28, 28, 1), dtype=np.uint8)
    return [
        partial(Chunk, values[start : start + 512], np.ones(len(values[start : start + 512]), dtype=np.bool_))
        for start in range(0, rows, 512)
    ]


def test_the_number_of_threads_changes_no_bit(
    extractor_of: ExtractorOf, digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for cores in (1, 3):
        monkeypatch.setattr(scored, "available_cores", lambda cores=cores: cores)
        found.append(score(extractor_of(digits), pictures(1_500), detailed_rows=1_000))
    assert equal(*found)
    assert found[0].sums.count == 1_500


def test_only_the_first_rows_are_held_and_all_are_counted(extractor_of: ExtractorOf, digits: Path) -> None:
    found = score(extractor_of(digits), pictures(1_500), detailed_rows=700, held_bytes=600 * 28 * 28)
    assert (len(found.detail.features), len(found.detail.rows), len(found.detail.shown().features)) == (700, 600, 600)
    assert found.sums.modes.sum() == 1_500
    everything = score(extractor_of(digits), pictures(1_500), detailed_rows=1_500)
    assert np.array_equal(found.detail.features, everything.detail.features[:700])
    assert found.sums.features.mean == pytest.approx(
        everything.detail.features.mean(axis=0, dtype=np.float64), rel=1e-9
    )


def test_no_more_chunks_wait_than_threads_can_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scored, "available_cores", lambda: 2)
    made = 0

    def chunks() -> Any:
        nonlocal made
        for number in range(40):
            made += 1
            yield number

    for number, result in enumerate(in_threads(lambda value: value, chunks())):
        assert result == number
        assert made <= number + 5


@pytest.mark.parametrize("family", ["gan", "vae", "ring"])
def test_a_sample_is_a_function_of_seed_and_index(tiny: Any, family: str) -> None:
    run = tiny(family)
    signature = read_bundle(run.bundle)
    sampler = Sampler(run.bundle, signature, np.zeros(1, dtype=np.int64))
    whole = sampler.decoded(standard_normal_latents(5, 300, signature.latent.size)).rows
    part = sampler.decoded(standard_normal_latents(5, 40, signature.latent.size, first_index=260), first=260).rows
    assert np.array_equal(whole[260:], part)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(environment.CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def seen(dataset: Path, extractor: Path) -> Scored:
    return read_reference(
        dataset, read_manifest(dataset), extractor, read_extractor(extractor), held_out=10_000, training=500
    ).held_out


def test_real_rows_are_looked_at_once(
    extractor_of: ExtractorOf, digits: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = seen(digits, extractor_of(digits))
    assert len(list(cache.rglob("*.npz"))) == 2
    monkeypatch.setattr(reference, "score", None)
    assert equal(first, seen(digits, extractor_of(digits)))


def test_other_data_or_another_extractor_are_never_taken_from_the_cache(
    extractor_of: ExtractorOf, digits: Path, cache: Path, tiny_recipe: Any, tmp_path: Path
) -> None:
    from components.extractor.core import fit_extractor

    first = seen(digits, extractor_of(digits))
    fit_extractor(tiny_recipe("gan").extractor, 1, digits, tmp_path / "other")
    other = seen(digits, tmp_path / "other")
    assert first.rows_sha256 == other.rows_sha256
    assert not np.array_equal(first.detail.features, other.detail.features)
    prepare(DataSettings(excluded_classes=("7",)), tmp_path / "data")
    fewer = seen(tmp_path / "data", extractor_of(digits))
    assert fewer.sums.count < first.sums.count
    assert fewer.rows_sha256 != first.rows_sha256


def test_a_damaged_entry_is_made_again(extractor_of: ExtractorOf, digits: Path, cache: Path) -> None:
    first = seen(digits, extractor_of(digits))
    for path in cache.rglob("*.npz"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 255
        path.write_bytes(content)
    assert equal(first, seen(digits, extractor_of(digits)))


def test_an_extractor_of_the_same_data_and_settings_is_fitted_once(
    digits: Path, cache: Path, tiny_recipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.extractor import core

    settings = tiny_recipe("gan").extractor
    first = core.fit_extractor(settings, 0, digits, tmp_path / "first")
    with monkeypatch.context() as patch:
        patch.setattr(core, "_fit_classifier", None)
        assert core.fit_extractor(settings, 0, digits, tmp_path / "again") == first
    assert core.fit_extractor(settings, 2, digits, tmp_path / "seed").sha256 != first.sha256
    prepare(DataSettings(excluded_classes=("7",)), tmp_path / "data")
    assert core.fit_extractor(settings, 0, tmp_path / "data", tmp_path / "fewer").mode_names != first.mode_names


def test_held_out_rows_are_validation_and_test_in_this_order(extractor_of: ExtractorOf, digits: Path) -> None:
    found = seen(digits, extractor_of(digits))
    manifest = read_manifest(digits)
    rows = np.concatenate([read_split(digits, manifest, name)[0] for name in ("validation", "test")])
    assert np.array_equal(found.detail.rows, rows.transpose(0, 2, 3, 1))
