"""KFP adapter of fitting the extractor."""

from kfp import dsl

from components.image import BASE_IMAGE


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def fit_feature_extractor(
    extractor_settings: str,
    seed: int,
    dataset: dsl.Input[dsl.Dataset],
    extractor: dsl.Output[dsl.Model],
):
    """Fit the classifier whose features models are judged in. Cached on the dataset's fingerprint."""
    from pathlib import Path

    from components.extractor.core import fit_extractor
    from components.extractor.settings import ExtractorSettings
    from components.step import step

    with step(extractor):
        settings = ExtractorSettings.model_validate_json(extractor_settings)
        fitted = fit_extractor(settings, seed, Path(dataset.path), Path(extractor.path))
        extractor.metadata.update(sha256=fitted.sha256, held_out_accuracy=fitted.held_out_accuracy or 0.0)
