"""What a node needs of its machine's disk, known from the Dataset's manifest before anything is fetched."""

from __future__ import annotations

from math import ceil, prod

from components.prepare.dataset import Share, shards_of
from components.prepare.manifest import Manifest

GIBIBYTE = 2**30
CHECKPOINTS_GIBIBYTES = 4
"""Room for the checkpoints that are kept, the result and its pictures: small beside data that need disks."""
COPIES = 2
"""Of the data: what is fetched, and what is written on the way."""
LABEL_BYTES = 8


def disk_gibibytes(manifest: Manifest, nodes: int) -> int:
    """What the node with the largest share of the data asks for, in GiB.

    Args:
        manifest: of the Dataset.
        nodes: that share its training shards; the first one has the validation split too.
    """
    row_bytes = prod(manifest.sample_shape) * (1 if manifest.kind == "image" else 4) + LABEL_BYTES
    shares = (shards_of(manifest, "train", Share(index=index, count=nodes)) for index in range(nodes))
    rows = max(sum(shard.rows for shard in share) for share in shares) + manifest.splits["validation"].rows
    return ceil(COPIES * rows * row_bytes / GIBIBYTE) + CHECKPOINTS_GIBIBYTES
