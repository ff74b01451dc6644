"""The TrainJob: that it is one, its name, its secrets, and what a node reads of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.cluster import ClusterSettings, Machines, cluster_settings
from components.environment import CLUSTER, JOB
from components.launch.disk import disk_gibibytes
from components.launch.labels import label_value
from components.launch.trainjob import is_ours, is_same, job_name, train_job
from components.prepare.dataset import read_manifest
from components.recipe import Recipe, override
from components.train.node import NODE_VARIABLES, job_of
from components.train.worker import Job
from models.errors import ConfigurationError

SETTINGS = ClusterSettings(
    image="registry.example/ganvas@sha256:1",
    secrets={"AWS_ACCESS_KEY_ID": "ganvas-s3", "AWS_SECRET_ACCESS_KEY": "ganvas-s3"},
    environment={"AWS_ENDPOINT_URL": "http://minio:9000"},
)
PLACED = SETTINGS.model_copy(
    update={
        "service_account": "trains",
        "machines": Machines(
            cpus="16",
            memory="64Gi",
            accelerator_type="amd.com/gpu",
            node_selector={"pool": "big"},
            tolerations=[{"key": "pool", "operator": "Equal", "value": "big", "tolerationSeconds": 60}],
        ),
    }
)


@pytest.fixture
def job(tiny_recipe: Callable[[str], Recipe]) -> Job:
    changes = {"resources.nodes": 2, "resources.processes_per_node": 4, "description": "costs $(HOME) and $$"}
    return Job(
        recipe=override(tiny_recipe("ring"), changes),
        dataset="s3://bucket/data",
        output=Path("unused"),
        checkpoint_uri="s3://bucket/checkpoints",
        pipeline_run_id="5c3b7f62-1111-4222-8333-abcdefabcdef",
    )


def body(job: Job, settings: ClusterSettings = SETTINGS, gpus: int = 0, **environment: str) -> dict[str, Any]:
    sizes = {"accelerators_per_node": gpus, "disk_gibibytes": 7}
    return train_job("ganvas-x", job, settings, **sizes, environment=environment)


@pytest.mark.parametrize("settings", [SETTINGS, PLACED], ids=["plain", "placed"])
@pytest.mark.parametrize("gpus", [0, 4])
def test_the_api_s_own_model_takes_it_and_gives_it_back(job: Job, gpus: int, settings: ClusterSettings) -> None:
    from kubeflow_trainer_api.models.trainer_v1alpha1_train_job import TrainerV1alpha1TrainJob

    made = body(job, settings, gpus)
    parsed = TrainerV1alpha1TrainJob.from_dict(made)
    assert parsed is not None
    given_back = parsed.to_dict()
    assert given_back["spec"] == made["spec"]  # a field that the model does not know would be gone
    assert given_back["metadata"] == made["metadata"]


def test_it_says_what_each_node_gets(job: Job) -> None:
    spec = body(job, gpus=4)["spec"]
    assert spec["runtimeRef"]["name"] == "ganvas-gpu"
    trainer = spec["trainer"]
    assert (trainer["numNodes"], trainer["numProcPerNode"]) == (2, 4)
    assert trainer["resourcesPerNode"]["limits"]["nvidia.com/gpu"] == "4"
    assert body(job)["spec"]["runtimeRef"] == {
        "apiGroup": "trainer.kubeflow.org",
        "kind": "TrainingRuntime",
        "name": "ganvas-cpu",
    }


def test_it_says_where_the_nodes_run_and_as_whom(job: Job) -> None:
    assert "runtimePatches" not in body(job)["spec"]
    (patch,) = body(job, PLACED)["spec"]["runtimePatches"]
    (replicated,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    assert replicated["name"] == "node"
    pool = {"key": "pool", "operator": "Equal", "value": "big", "tolerationSeconds": 60}
    assert replicated["template"]["spec"]["template"]["spec"] == {
        "serviceAccountName": "trains",
        "nodeSelector": {"pool": "big"},
        "tolerations": [pool],
    }
    resources = body(job, PLACED, gpus=4)["spec"]["trainer"]["resourcesPerNode"]
    assert resources["limits"] == {"memory": "64Gi", "amd.com/gpu": "4"}
    assert resources["requests"] == {**resources["limits"], "cpu": "16", "ephemeral-storage": "7Gi"}


def test_a_node_asks_for_twice_its_share_of_the_data(many_shards: Path) -> None:
    manifest = read_manifest(many_shards)
    assert disk_gibibytes(manifest, 2) == 5  # some kB of data, and the checkpoints
    pictures = manifest.model_copy(update={"kind": "image", "sample_shape": [3, 2**10, 2**10]})
    shards, validation = pictures.splits["train"].shards, pictures.splits["validation"].rows
    for nodes in (1, 2, len(shards)):
        rows = max(sum(shard.rows for shard in shards[index::nodes]) for index in range(nodes)) + validation
        assert disk_gibibytes(pictures, nodes) - 4 == pytest.approx(2 * rows * 3 / 2**10, abs=1.0)


def test_tolerations_stand_in_the_place_of_the_runtime_s_and_say_its_own_again(job: Job) -> None:
    (patch,) = body(job, PLACED, gpus=4)["spec"]["runtimePatches"]
    pod = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    gpu, pool = pod["tolerations"]
    assert gpu == {"key": "amd.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    assert pool["key"] == "pool"


def test_secrets_are_named_and_never_written(job: Job) -> None:
    env = body(job, AWS_SECRET_ACCESS_KEY="spilled")["spec"]["trainer"]["env"]
    by_name = {one["name"]: one for one in env}
    assert len(by_name) == len(env)
    assert by_name["AWS_SECRET_ACCESS_KEY"]["valueFrom"] == {
        "secretKeyRef": {"name": "ganvas-s3", "key": "AWS_SECRET_ACCESS_KEY"}
    }
    assert "spilled" not in str(env)
    # Kubeflow Trainer refuses a job that sets what it sets itself.
    assert not [name for name in by_name if name.startswith("PET_")]


def test_a_node_reads_the_job_that_was_sent(job: Job) -> None:
    """Kubernetes expands $(NAME) in values, and turns $$ into $: neither is in what is sent."""
    env = {one["name"]: one.get("value", "") for one in body(job)["spec"]["trainer"]["env"]}
    assert "$" not in env[JOB]
    assert job_of({**env, **dict.fromkeys(NODE_VARIABLES, "1")}) == job


def test_without_the_trainer_s_variables_it_is_no_node(job: Job) -> None:
    with pytest.raises(ConfigurationError, match=r"GANVAS_JOB, PET_NNODES.* not a node of a TrainJob"):
        job_of({})
    with pytest.raises(ConfigurationError, match=r"GANVAS_JOB is not valid: recipe"):
        job_of({**dict.fromkeys(NODE_VARIABLES, "1"), JOB: "{}"})


@given(st.text(), st.text())
def test_every_name_stays_a_dns_label_with_what_is_added(run: str, uri: str) -> None:
    name = job_name(run, uri)
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)
    assert len(f"{name}-node-0-4095-abcde") <= 63
    assert name == job_name(run, uri)
    assert name != job_name(run + "x", uri)


@given(st.text())
def test_every_run_id_becomes_a_label(run: str) -> None:
    assert re.fullmatch(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?", label_value(run))


def test_another_training_of_the_run_is_ours_and_not_the_same(job: Job) -> None:
    mine = body(job)
    assert is_ours(mine, mine) and is_same(mine, mine)
    longer = body(job, SETTINGS.model_copy(update={"timeout_seconds": 5}))
    assert is_ours(longer, mine) and not is_same(longer, mine)
    other = body(job.model_copy(update={"pipeline_run_id": "another"}))
    assert not is_ours(other, mine)
    assert not is_ours({"metadata": {"name": "ganvas-x"}}, mine)


def test_the_environment_says_how_nodes_are_started() -> None:
    assert cluster_settings({}) is None
    assert cluster_settings({CLUSTER: SETTINGS.model_dump_json()}) == SETTINGS
    asked = PLACED.machines.model_dump_json()
    assert cluster_settings({CLUSTER: SETTINGS.model_dump_json()}, asked) == PLACED.model_copy(
        update={"service_account": ""}
    )
    with pytest.raises(ConfigurationError, match=r"GANVAS_CLUSTER is not valid: image"):
        cluster_settings({CLUSTER: "{}"})
