"""KFP adapter of the comparison."""

from typing import List

from kfp import dsl

from components.image import BASE_IMAGE


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def compare_models(
    dataset: dsl.Input[dsl.Dataset],
    bundles: dsl.Input[List[dsl.Model]],
    reports: dsl.Input[List[dsl.Artifact]],
    comparison: dsl.Output[dsl.Artifact],
    page: dsl.Output[dsl.HTML],
):
    """Families side by side, and what is claimed of them against what was measured."""
    import shutil
    from pathlib import Path

    from components.compare.core import compare
    from components.compare.documents import PAGE_NAME
    from components.step import step

    with step(comparison):
        compare(
            [Path(bundle.path) for bundle in bundles],
            [Path(report.path) for report in reports],
            Path(dataset.path),
            Path(comparison.path),
        )
        shutil.copyfile(Path(comparison.path) / PAGE_NAME, page.path)
