"""Two nodes in network namespaces of their own, one rank killed: the job starts anew and ends as if nothing had been.

    make campaign NAME=nodes
    python -m tests.campaigns.nodes --kills 3 --record docs/benchmarks/nodes.md

The launcher is the real one, and so is what a TrainJob's node runs (``components.train.node`` with the variables that
Kubeflow Trainer sets). Each node has a network namespace, joined to the other's and to an S3 server by a bridge; data,
checkpoints and the result go over it by HTTP. The cluster's controllers are played: when a node fails both are started
anew, as a JobSet with ``maxRestarts`` does. Needs root, for the namespaces.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from components.cluster import ClusterSettings
from components.launch.nodes import train_on_nodes
from components.launch.patience import Patience
from components.prepare.core import prepare
from components.prepare.settings import DataSettings
from components.recipe import Recipe, override
from components.train.checkpoint import Checkpoint
from components.train.worker import Job
from pipelines.recipes import recipe_by_name
from tests.components.launch.fake_api import FakeCluster, fake_cluster
from tests.components.launch.kubelet import Kubelet
from tests.components.storage.server import CREDENTIALS, client, running_s3

NODES = 2
BRIDGE = "ganvas-br"
BRIDGE_ADDRESS = "10.213.77.1"
SECRET = "AWS_SECRET_ACCESS_KEY"
BUDGET = 9_600
CHANGES = {
    "resources.nodes": NODES,
    "training.batch_size": 32,
    "training.images_seen": BUDGET,
    "training.log_every_images": BUDGET // 20,
    "training.checkpoint_every_images": BUDGET // 10,
    "training.sample_every_images": BUDGET // 2,
    "training.threads_per_process": 1,
}


def main() -> int:
    """Train, kill, compare; 0 where every killed training ended equal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=3, help="trainings with one rank killed at a random moment each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", type=Path, help="Markdown file for the results")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("Network namespaces need root: run it as root, or see tests/components/launch/test_nodes.py.")
        return 1
    dice = random.Random(arguments.seed)
    rows, different = [], 0
    with tempfile.TemporaryDirectory() as directory, bridged_namespaces() as names:
        work = Path(directory)
        os.environ |= {"KUBECONFIG": str(work / "kubeconfig"), **CREDENTIALS}
        with fake_cluster(work / "kubeconfig") as cluster, running_s3(BRIDGE_ADDRESS) as url:
            os.environ["AWS_ENDPOINT_URL"] = url
            client(url).create_bucket(Bucket="nodes")
            prepare(DataSettings(source="mixture:ring8", rows=2_000, shard_rows=300), work / "data")
            recipe = override(recipe_by_name("ring-gan"), {**CHANGES, "data.rows": 2_000})
            whole, seconds, _ = _train(cluster, recipe, work, "whole", url, names, None)
            rows.append(f"| none | 1 | {seconds:.0f} | {whole.weights_sha256[:16]} | |")
            print(rows[-1], flush=True)
            for trial in range(arguments.kills):
                percent = dice.randrange(10, 95, 5)
                resumed, seconds, kubelet = _train(cluster, recipe, work, f"killed-{trial}", url, names, percent)
                equal = (resumed.weights_sha256, resumed.optimizers_sha256) == (
                    whole.weights_sha256,
                    whole.optimizers_sha256,
                ) and len(kubelet.kills) == 1
                different += not equal
                rows.append(
                    f"| rank 1, after {percent} % | {kubelet.attempts} | {seconds:.0f} "
                    f"| {resumed.weights_sha256[:16]} | {'equal' if equal else '**different**'} |"
                )
                print(rows[-1], flush=True)
            kept = client(url).list_objects_v2(Bucket="nodes").get("KeyCount", 0)
            left = cluster.left()
    lines = [
        "# Two nodes, one rank killed",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; `python -m {__spec__.name} {' '.join(sys.argv[1:])}`; seed {arguments.seed}; "
        f"{os.cpu_count()} cores, shared with other work",
        "",
        f"{BUDGET // 32} updates of the ring's GAN on {NODES} nodes, each in a network namespace of its own: "
        "`python -m components.train.node` with `PET_*` as Kubeflow Trainer sets them, started by the launcher through "
        "a TrainJob on a fake API server. Data, checkpoints and the result go over HTTP to an S3 server on the bridge. "
        "SIGKILL takes the second node's rank; both nodes start anew, as JobSet's `maxRestarts` lets them.",
        "",
        "| killed | starts | seconds | weights | against the training that was not killed |",
        "|---|---|---|---|---|",
        *rows,
        "",
        f"{arguments.kills} killed, {different} different. Left behind: {kept} objects in the bucket, "
        f"{len(left)} on the API server.",
        "",
    ]
    if arguments.record:
        arguments.record.write_text("\n".join(lines))
    print("\n".join(lines[-3:]))
    return 1 if different or kept or left else 0


def _train(
    cluster: FakeCluster,
    recipe: Recipe,
    work: Path,
    name: str,
    url: str,
    names: list[str],
    killed_at_percent: int | None,
) -> tuple[Checkpoint, float, Kubelet]:
    plain = {key: value for key, value in CREDENTIALS.items() if key != SECRET}
    settings = ClusterSettings(
        image="ganvas",
        environment={**plain, "AWS_ENDPOINT_URL": url, "OMP_NUM_THREADS": "1"},
        secrets={SECRET: "ganvas-s3"},
    )
    # In a pod the host's name leads to its address; here the network's name does.
    own = os.environ | {"GLOO_SOCKET_IFNAME": "eth0", "TMPDIR": str(work)}
    kubelet = Kubelet(
        cluster,
        {key: value for key, value in own.items() if not key.startswith("AWS_")},
        prefixes=[("ip", "netns", "exec", namespace) for namespace in names],
        address=_address(0),
        secrets={SECRET: CREDENTIALS[SECRET]},
        killed=lambda line: line.startswith(f"» {killed_at_percent}%"),
    )
    cluster.on_created = kubelet.play
    job = Job(
        recipe=recipe,
        dataset=str(work / "data"),
        output=work / name,
        checkpoint_uri=f"s3://nodes/{name}",
        pipeline_run_id=name,
    )
    started = time.perf_counter()
    with contextlib.redirect_stderr((work / f"{name}.log").open("w")):
        finished = train_on_nodes(job, "", settings, Patience(1_800.0, 600.0, tick_seconds=1.0))
    return finished, time.perf_counter() - started, kubelet


def _address(index: int) -> str:
    return f"10.213.77.{10 + index}"


@contextmanager
def bridged_namespaces() -> Iterator[list[str]]:
    """Network namespaces with an ``eth0`` each, joined by a bridge that has an address on this side."""
    names = [f"ganvas-node-{index}" for index in range(NODES)]
    try:
        _ip("link", "add", BRIDGE, "type", "bridge")
        _ip("addr", "add", f"{BRIDGE_ADDRESS}/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")
        for index, name in enumerate(names):
            _ip("netns", "add", name)
            _ip("link", "add", f"ganvas-v{index}", "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("link", "set", f"ganvas-v{index}", "master", BRIDGE, "up")
            _ip("-n", name, "addr", "add", f"{_address(index)}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
            _ip("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)
        subprocess.run(["ip", "link", "del", BRIDGE], check=False, stderr=subprocess.DEVNULL)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"Network namespaces cannot be made here: ip {' '.join(arguments)}: {done.stderr.strip()}")


if __name__ == "__main__":
    sys.exit(main())
