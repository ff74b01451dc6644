"""KFP adapter of data preparation."""

from kfp import dsl

from components.image import BASE_IMAGE


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def prepare_data(
    data: str,
    listing_digest: str,
    dataset: dsl.Output[dsl.Dataset],
    summary: dsl.Output[dsl.Markdown],
):
    """Read the source once, split it, write shards and a manifest. Cached on the listing's digest."""
    from pathlib import Path

    from components.prepare.core import prepare
    from components.prepare.settings import DataSettings
    from components.prepare.summary import summarise
    from components.step import step

    with step(dataset):
        manifest = prepare(DataSettings.model_validate_json(data), Path(dataset.path))
        dataset.metadata.update(fingerprint=manifest.fingerprint, listing_digest=listing_digest)
        Path(summary.path).write_text(summarise(manifest))
