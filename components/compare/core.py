"""Judged models of the same data side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from components.artifacts import prepare_output_directory, write_bytes_atomically, write_document
from components.compare.claims import claims_of
from components.compare.documents import COMPARISON_NAME, PAGE_NAME, Comparison, Contestant, Role
from components.compare.order import settling
from components.compare.page import render_comparison
from components.compare.rates import code_rates
from components.evaluate.documents import Metric, Metrics
from components.evaluate.limits import limits_of
from components.evaluate.reader import read_report
from components.export.bundle import read_bundle
from components.export.signature import Signature
from components.train.observer import read_history
from models.config import VaeSettings
from models.errors import ArtifactError


def compare(bundles: Sequence[Path], reports: Sequence[Path], dataset: Path, output: Path) -> Comparison:
    """Hold models of one Dataset against each other, and the tutorial's claims against them.

    Args:
        bundles: what was judged.
        reports: of these, in the same order.
        dataset: the Dataset that they were judged on.
        output: a new directory for comparison.html and, last, comparison.json.

    Raises:
        ArtifactError: if an input is incomplete, or they were judged on different data or by different extractors.
    """
    judged = []
    for bundle, report in zip(bundles, reports, strict=True):
        signature, (metrics, verdict) = read_bundle(bundle), read_report(report)
        if metrics.sampler_sha256 != signature.graphs[signature.sampler].sha256:
            raise ArtifactError(f"{report} judges other graphs than {bundle} holds.", "Evaluate this bundle first.")
        judged.append((bundle, signature, metrics, verdict))
    first = judged[0][2]
    for bundle, _, metrics, _ in judged:
        if (metrics.dataset_fingerprint, metrics.extractor_sha256) != (
            first.dataset_fingerprint,
            first.extractor_sha256,
        ):
            raise ArtifactError(
                f"{bundle} was judged on other data or by another extractor than {judged[0][0]}.",
                "Evaluate all of them on one Dataset with one Extractor.",
            )
    prepare_output_directory(output, COMPARISON_NAME)
    contestants = {
        role: _contestant(role, bundle, signature, metrics, verdict.passed)
        for bundle, signature, metrics, verdict in judged
        for role in [_role(bundle, signature)]
    }
    if len(contestants) < len(judged):
        raise ArtifactError("Two of the models are of the same kind.", "Compare one GAN, one VAE and one AE.")
    by_role = dict(zip(contestants, bundles, strict=True))
    contestants = _with_rates(contestants, by_role, dataset)
    comparison = Comparison(
        dataset_name=first.dataset_name,
        dataset_fingerprint=first.dataset_fingerprint,
        extractor_sha256=first.extractor_sha256,
        frechet_floor=first.frechet_floor.value,
        contestants=list(contestants.values()),
        claims=claims_of(contestants),
    )
    page = render_comparison(comparison, by_role, dataset)
    write_bytes_atomically(output / PAGE_NAME, page.encode())
    write_document(output / COMPARISON_NAME, comparison)
    return comparison


def _role(bundle: Path, signature: Signature) -> Role:
    if signature.family != "vae":
        return signature.family
    recipe, _, _ = limits_of(bundle, None)
    return "vae-without-kl" if isinstance(recipe.model, VaeSettings) and recipe.model.beta == 0.0 else "vae"


def _contestant(role: Role, bundle: Path, signature: Signature, metrics: Metrics, passed: bool) -> Contestant:
    history = read_history(bundle)
    seconds = history[-1].get("wall_seconds") if history else None
    order = settling(history) if role == "vae" else {}
    return Contestant(
        role=role,
        recipe=signature.lineage.recipe,
        images_seen=signature.lineage.images_seen,
        training_seconds=None if seconds is None else round(seconds, 1),
        parameters=sum(signature.parameters.values()),
        code_size=signature.latent.size,
        passed=passed,
        metrics=metrics.metrics | {"frechet_floor": metrics.frechet_floor} | order,
    )


def _with_rates(
    contestants: Mapping[Role, Contestant], bundles: Mapping[Role, Path], dataset: Path
) -> dict[Role, Contestant]:
    """What codes cost, where there are a VAE and an autoencoder to be held against each other."""
    if not {"vae", "ae"} <= contestants.keys():
        return dict(contestants)
    rates: dict[Role, dict[str, Metric]] = {}
    rates["vae"], rates["ae"] = code_rates(bundles["vae"], bundles["ae"], dataset)
    return {
        role: one.model_copy(update={"metrics": one.metrics | rates.get(role, {})}) for role, one in contestants.items()
    }
