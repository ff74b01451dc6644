"""KFP adapters of data preparation: shares of the listing read side by side, then merged."""

from typing import List

from kfp import dsl

from components.image import BASE_IMAGE


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def read_source(
    share: str,
    units: dsl.Output[dsl.Dataset],
):
    """Read one share of the source, each item once. Cached on the share, which names the listing's digest."""
    from pathlib import Path

    from components.prepare.partition import SourceShare, read_partition
    from components.step import step

    with step(units):
        mine = SourceShare.model_validate_json(share)
        read_partition(
            mine.data, Path(units.path), index=mine.index, count=mine.count, listing_digest=mine.listing_digest
        )


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def prepare_data(
    data: str,
    listing_digest: str,
    units: dsl.Input[List[dsl.Dataset]],
    dataset: dsl.Output[dsl.Dataset],
    summary: dsl.Output[dsl.Markdown],
):
    """Split what the shares hold and write shards and a manifest. Cached on the listing's digest."""
    from pathlib import Path

    from components.prepare.merge import merge
    from components.prepare.settings import DataSettings
    from components.prepare.summary import summarise
    from components.step import step

    with step(dataset):
        shares = [Path(share.path) for share in units]
        manifest = merge(DataSettings.model_validate_json(data), shares, Path(dataset.path))
        dataset.metadata.update(fingerprint=manifest.fingerprint, listing_digest=listing_digest)
        Path(summary.path).write_text(summarise(manifest))
