"""From the launcher to two real nodes and back: data, checkpoints and the result by way of a bucket."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from components.cluster import ClusterSettings
from components.launch.nodes import push_dataset, train_on_nodes
from components.launch.patience import Patience
from components.prepare.dataset import read_share
from components.recipe import Recipe, override
from components.storage import open_storage
from components.train.observer import read_history
from components.train.worker import Job
from tests.components.launch.fake_api import FakeCluster
from tests.components.launch.faults import RUN_ID
from tests.components.launch.kubelet import Kubelet
from tests.components.storage.server import CREDENTIALS, client

BUDGET = 1_920
CHANGES = {
    "resources.nodes": 2,
    "training.images_seen": BUDGET,
    "training.log_every_images": BUDGET // 20,
    "training.checkpoint_every_images": BUDGET // 10,
    "training.sample_every_images": BUDGET,
}
SECRET = "AWS_SECRET_ACCESS_KEY"


@pytest.mark.usefixtures("s3")
def test_a_killed_rank_is_gone_on_from_and_nothing_is_left(
    cluster: FakeCluster,
    many_shards: Path,
    tiny_recipe: Callable[[str], Recipe],
    subprocess_environment: dict[str, str],
    s3_server: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """That it ends byte for byte as without the kill is the campaign's to show: ``make campaign NAME=nodes``."""
    recipe = override(tiny_recipe("ring"), CHANGES)
    client(s3_server).create_bucket(Bucket="nodes")
    push_dataset(many_shards, open_storage("s3://nodes/artifact"))
    plain = {name: value for name, value in CREDENTIALS.items() if name != SECRET}
    settings = ClusterSettings(
        image="ganvas", environment={**plain, "AWS_ENDPOINT_URL": s3_server}, secrets={SECRET: "ganvas-s3"}
    )
    kubelet = Kubelet(
        cluster,
        subprocess_environment | {"TMPDIR": str(tmp_path)},
        secrets={SECRET: CREDENTIALS[SECRET]},
        killed=lambda line: line.startswith("» 40%"),
    )
    cluster.on_created = kubelet.play
    job = Job(
        recipe=recipe,
        dataset=str(many_shards),
        output=tmp_path / "out",
        checkpoint_uri="s3://nodes/checkpoints",
        pipeline_run_id=RUN_ID,
    )
    patience = Patience(900.0, 900.0, tick_seconds=1.0)
    finished = train_on_nodes(job, "minio://nodes/artifact/dataset", settings, patience)
    said = capsys.readouterr().err
    assert (finished.processes, finished.images_seen) == (2, BUDGET)
    assert (kubelet.attempts, len(kubelet.kills)) == (2, 1), said
    assert re.search(r"node [01] ended with code (1|137)", said), said
    assert "start anew, for the first time" in said
    assert "data are copied" not in said  # the nodes read the artifact itself
    # Told once from the start on: what was told before the kill came back with the checkpoint.
    told = [row["images_seen"] for row in read_history(tmp_path / "out")]
    assert told == [BUDGET * part // 20 for part in range(1, 21)]
    shares = sorted(read_share(place).index for place in tmp_path.glob("ganvas-data-*"))
    assert shares == [0, 1]
    assert list((tmp_path / "out" / "samples").glob("*.png"))
    assert cluster.left() == []
    kept = client(s3_server).list_objects_v2(Bucket="nodes")["Contents"]
    assert {entry["Key"].split("/")[0] for entry in kept} == {"artifact"}
