"""The pipeline's steps one by one: ``prepare``, ``train``, ``export``, ``evaluate``, ``promote``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipelines.cli.console import PEOPLE, escape, print_json
from pipelines.cli.options import JsonOption, OutOption, RecipeOption, SetOption, resolved


def prepare(
    source: Annotated[
        str, typer.Option(help="A path, or digits, mixture:ring8, s3://bucket/prefix and more: docs/data.md")
    ],
    out: OutOption,
    recipe: RecipeOption = "digits-gan",
    changes: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Make a Dataset from a source."""
    chosen = resolved(recipe, [*(changes or []), f"data.source={source}"])
    from components.prepare.core import prepare as prepare_dataset

    manifest = prepare_dataset(chosen.data, out)
    if json:
        print_json(manifest.model_dump(mode="json"))
        return
    rows = ", ".join(f"{name} {split.rows:,}" for name, split in manifest.splits.items())
    PEOPLE.print(f"{out}: {rows}; {manifest.rejected:,} rejected. Fingerprint {manifest.fingerprint[:16]}.")


def train(
    data: Annotated[str, typer.Option(help="A finished Dataset: a directory, or s3://bucket/prefix.")],
    out: OutOption,
    recipe: RecipeOption = "digits-gan",
    changes: SetOption = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, order and noise.")] = None,
    nproc: Annotated[int | None, typer.Option(min=0, help="Training processes; 0: one for every GPU.")] = None,
    resume: Annotated[
        Literal["auto", "never"], typer.Option(help="auto: go on where --out was left; never: start over.")
    ] = "auto",
    init_from: Annotated[Path | None, typer.Option(help="Checkpoint whose weights to start from.")] = None,
    checkpoint_uri: Annotated[str, typer.Option(help="Durable copies: a directory or s3:// prefix.")] = "",
    json: JsonOption = False,
) -> None:
    """Train on a Dataset until the recipe's budget is spent."""
    chosen = resolved(
        recipe,
        [*(changes or []), *([f"resources.processes_per_node={nproc}"] if nproc is not None else [])],
        seed=seed,
    )
    from components.cluster import cluster_settings
    from components.launch import launch_training

    checkpoint = launch_training(
        chosen,
        data,
        out,
        resume=resume,
        init_from=init_from,
        checkpoint_uri=checkpoint_uri,
        cluster=cluster_settings(os.environ),
    )
    if json:
        print_json(checkpoint.model_dump(mode="json"))
        return
    PEOPLE.print(f"{out}: {checkpoint.images_seen:,} images seen. Weights {checkpoint.weights_sha256[:16]}.")


def export(
    checkpoint: Annotated[Path, typer.Option(help="A finished Checkpoint.")],
    out: OutOption,
    json: JsonOption = False,
) -> None:
    """Export a Checkpoint to ONNX and check it against torch."""
    from components.export.core import export as export_bundle
    from pipelines.revision import code_revision

    signature = export_bundle(checkpoint, out, code_revision=code_revision())
    if json:
        print_json(signature.model_dump(mode="json"))
        return
    graphs = ", ".join(f"{graph.file} ({graph.size_bytes / 1e6:.1f} MB)" for graph in signature.graphs.values())
    PEOPLE.print(f"{out}: {graphs}; differs from torch by at most {signature.parity.max_absolute_error:.1e}.")


def evaluate(
    bundle: Annotated[str, typer.Option(help="A finished Bundle, models:/NAME/VERSION or models:/NAME@ALIAS.")],
    data: Annotated[Path, typer.Option(help="The Dataset to judge it on.")],
    out: OutOption,
    limits: Annotated[Path | None, typer.Option(help="JSON file of limits; by default the recipe's own.")] = None,
    extractor: Annotated[Path | None, typer.Option(help="A finished Extractor; by default one is fitted.")] = None,
    model_name: Annotated[
        str, typer.Option(help="Registered model whose champion it is compared with; by default the recipe's.")
    ] = "",
    json: JsonOption = False,
) -> None:
    """Judge a Bundle by its limits and beside the champion. Exit code 3 where it fails."""
    import tempfile

    from components.evaluate.champion import find_champion
    from components.evaluate.core import evaluate as evaluate_bundle
    from components.evaluate.limits import limits_of
    from components.evaluate.registered import PREFIX, fetch_registered
    from components.extractor.core import fit_extractor
    from components.extractor.document import EXTRACTOR_NAME

    with tempfile.TemporaryDirectory() as downloads:
        directory, registered_version = Path(bundle), ""
        if bundle.startswith(PREFIX):
            fetched = fetch_registered(bundle, Path(downloads) / "judged")
            directory, registered_version = fetched.directory, fetched.uri
            model_name = model_name or fetched.name
            if bundle != fetched.uri:
                PEOPLE.print(f"{escape(bundle)} is version {fetched.version}.", soft_wrap=True)
        recipe, settings, limits_source = limits_of(directory, limits)
        if extractor is None:
            extractor = out / "extractor"
            if not (extractor / EXTRACTOR_NAME).is_file():
                fit_extractor(recipe.extractor, recipe.seed, data, extractor)
        verdict = evaluate_bundle(
            directory,
            data,
            extractor,
            out,
            settings,
            limits_source=limits_source,
            champion=find_champion(model_name or recipe.model_name, Path(downloads) / "champion"),
            registered_version=registered_version,
        )
    if json:
        print_json(verdict.model_dump(mode="json"))
    else:
        from pipelines.cli.verdict import print_verdict

        print_verdict(verdict, out)
    if not verdict.passed:
        raise typer.Exit(3)


def promote(
    bundle: Annotated[Path, typer.Option(help="A finished Bundle.")],
    report: Annotated[Path, typer.Option(help="The Report of this Bundle.")],
    model_name: Annotated[str, typer.Option(help="Name in the MLflow registry.")],
    automatic: Annotated[bool, typer.Option(help="Whether passing is enough to become champion.")] = True,
    json: JsonOption = False,
) -> None:
    """Register a Bundle with its verdict and move the alias that it earned. Exit code 3 where the gate failed."""
    from components.promote.core import promote as promote_bundle

    result = promote_bundle(bundle, report, model_name, automatic=automatic)
    alias = result.decision.alias
    if json:
        print_json(
            {
                "model_name": result.model_name,
                "version": result.version,
                "alias": alias,
                "reason": result.decision.reason,
                "mlflow_run_id": result.mlflow_run_id,
            }
        )
    else:
        PEOPLE.print(f"{model_name} version {result.version}: {alias or 'no alias'} ({result.decision.reason})")
    if not result.decision.passed:
        raise typer.Exit(3)
