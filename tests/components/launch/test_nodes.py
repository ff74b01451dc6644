"""From the launcher to two real nodes and back: data, checkpoints and the result by way of a bucket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from components.cluster import ClusterSettings
from components.launch.nodes import push_dataset, train_on_nodes
from components.launch.patience import Patience
from components.recipe import Recipe, override
from components.storage import open_storage
from components.train.checkpoint import Checkpoint
from components.train.observer import read_history
from components.train.worker import Job
from tests.components.launch.fake_api import FakeCluster
from tests.components.launch.faults import RUN_ID
from tests.components.launch.kubelet import Kubelet
from tests.components.storage.server import CREDENTIALS, client

BUDGET = 3_200
CHANGES = {
    "resources.nodes": 2,
    "training.images_seen": BUDGET,
    "training.log_every_images": BUDGET // 20,
    "training.checkpoint_every_images": BUDGET // 10,
    "training.sample_every_images": BUDGET,
}
SECRET = "AWS_SECRET_ACCESS_KEY"


@pytest.mark.usefixtures("s3")
def test_a_killed_rank_changes_nothing(
    cluster: FakeCluster,
    many_shards: Path,
    tiny_recipe: Callable[[str], Recipe],
    subprocess_environment: dict[str, str],
    s3_server: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The first training is copied its data; the second finds them where its artifact is, and loses a rank."""
    recipe = override(tiny_recipe("ring"), CHANGES)
    client(s3_server).create_bucket(Bucket="nodes")
    push_dataset(many_shards, open_storage("s3://nodes/artifact"))
    plain = {name: value for name, value in CREDENTIALS.items() if name != SECRET}
    settings = ClusterSettings(
        image="ganvas", environment={**plain, "AWS_ENDPOINT_URL": s3_server}, secrets={SECRET: "ganvas-s3"}
    )

    def train(name: str, dataset_uri: str, killed: Callable[[str], bool]) -> tuple[Checkpoint, Kubelet]:
        own = subprocess_environment | {"TMPDIR": str(tmp_path)}
        kubelet = Kubelet(cluster, own, secrets={SECRET: CREDENTIALS[SECRET]}, killed=killed)
        cluster.on_created = kubelet.play
        job = Job(
            recipe=recipe,
            dataset=str(many_shards),
            output=tmp_path / name,
            checkpoint_uri=f"s3://nodes/{name}",
            pipeline_run_id=RUN_ID,
        )
        return train_on_nodes(job, dataset_uri, settings, Patience(200.0, 200.0, tick_seconds=1.0)), kubelet

    whole, calm = train("whole", "minio://elsewhere/data/dataset", lambda line: False)
    assert (calm.attempts, whole.processes, whole.images_seen) == (1, 2, BUDGET)
    assert "data are copied to s3://nodes/whole/" in capsys.readouterr().err
    resumed, hit = train("killed", "minio://nodes/artifact/dataset", lambda line: line.startswith("» 40%"))
    said = capsys.readouterr().err
    assert (hit.attempts, len(hit.kills)) == (2, 1), said
    assert "node 1 ended with code 137" in said
    assert "start anew, for the first time" in said
    assert "data are copied" not in said
    assert (resumed.weights_sha256, resumed.optimizers_sha256) == (whole.weights_sha256, whole.optimizers_sha256)
    told = [[row["images_seen"] for row in read_history(tmp_path / name)] for name in ("whole", "killed")]
    assert told[0] == told[1]
    assert len(list((tmp_path / "killed" / "samples").glob("*.png"))) >= 1
    assert cluster.left() == []
    kept = client(s3_server).list_objects_v2(Bucket="nodes").get("Contents", [])
    assert {entry["Key"].split("/")[0] for entry in kept} == {"artifact"}
