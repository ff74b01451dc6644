"""KFP adapter of evaluation."""

from kfp import dsl

from components.image import BASE_IMAGE


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def evaluate_model(
    gate: str,
    recipe_name: str,
    model_name: str,
    dataset: dsl.Input[dsl.Dataset],
    extractor: dsl.Input[dsl.Model],
    bundle: dsl.Input[dsl.Model],
    report: dsl.Output[dsl.Artifact],
    page: dsl.Output[dsl.HTML],
    verdict: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
):
    """Score the exported graphs and judge them. Succeeds whatever the verdict; never cached.

    Without a model_name there is no champion to compare with.
    """
    import shutil
    import tempfile
    from pathlib import Path

    from components.evaluate.champion import find_champion
    from components.evaluate.core import evaluate
    from components.evaluate.documents import REPORT_NAME
    from components.evaluate.markdown import render_markdown
    from components.evaluate.reader import read_report
    from components.evaluate.settings import GateSettings
    from components.step import step

    with tempfile.TemporaryDirectory() as downloads:
        champion = None
        with step():
            if model_name:
                champion = find_champion(model_name, Path(downloads))
        with step(report):
            evaluate(
                Path(bundle.path),
                Path(dataset.path),
                Path(extractor.path),
                Path(report.path),
                GateSettings.model_validate_json(gate),
                limits_source=f"recipe {recipe_name}",
                champion=champion,
            )
            measured, judged = read_report(Path(report.path))
            shutil.copyfile(Path(report.path) / REPORT_NAME, page.path)
            Path(verdict.path).write_text(render_markdown(judged, measured))
            for name, metric in measured.metrics.items():
                if metric.value is not None:
                    metrics.log_metric(name, metric.value)
