"""What is in the durable place decides what is still to be done, and only what is whole counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components.environment import JOB
from components.launch.nodes import train_on_nodes
from components.recipe import override
from components.train.checkpoint import read_checkpoint
from components.train.durable import RESULT, clear, fetch_result, has_result, open_durable, push_result
from components.train.node import run_node
from components.train.worker import Job
from models.errors import ArtifactError, ConfigurationError
from tests.components.launch.faults import World


def started(world: World) -> bool:
    return any(request.startswith("POST") for request in world.cluster.requests)


def complete_at_once(world: World) -> None:
    def play(name: str) -> None:
        world.cluster.run_pods(name)
        world.complete(name)

    world.cluster.on_created = play


def test_a_result_that_is_there_is_taken_and_nothing_is_trained(world: World) -> None:
    push_result(world.place, world.checkpoint)
    finished = train_on_nodes(world.job, "", world.settings, world.patience)
    assert finished.weights_sha256 == read_checkpoint(world.checkpoint).weights_sha256
    samples = {path.name for path in (world.checkpoint / "samples").iterdir()}
    assert {path.name for path in (world.work / "out" / "samples").iterdir()} == samples
    assert not started(world)
    assert world.place.directories() == []


def test_what_another_run_of_the_same_training_has_there_stays(world: World) -> None:
    fingerprint = json.loads((world.dataset / "manifest.json").read_text())["fingerprint"]
    others = open_durable(world.uri, world.recipe, fingerprint, "another-run")
    push_result(others, world.checkpoint)
    complete_at_once(world)
    train_on_nodes(world.job, "", world.settings, world.patience)
    assert started(world)
    assert world.place.directories() == []
    assert has_result(others)


@pytest.mark.parametrize(("resume", "nodes_resume"), [("auto", "auto"), ("never", "own")])
def test_nodes_start_over_where_that_is_asked_and_restarts_do_not(world: World, resume: str, nodes_resume: str) -> None:
    complete_at_once(world)
    train_on_nodes(world.job.model_copy(update={"resume": resume}), "", world.settings, world.patience)
    (sent,) = world.cluster.sent
    environment = {one["name"]: one.get("value", "") for one in sent["spec"]["trainer"]["env"]}
    assert Job.model_validate_json(environment[JOB]).resume == nodes_resume


def test_starting_over_does_not_take_it(world: World) -> None:
    push_result(world.place, world.checkpoint)
    complete_at_once(world)
    train_on_nodes(world.job.model_copy(update={"resume": "never"}), "", world.settings, world.patience)
    assert started(world)


def test_half_of_a_result_is_none(world: World) -> None:
    push_result(world.place, world.checkpoint)
    kept = Path(f"{world.work}/durable")
    (document,) = kept.rglob(f"{RESULT}/checkpoint.json")
    document.unlink()
    assert not has_result(world.place)
    assert fetch_result(world.place, world.work / "out") is None


def test_an_altered_result_is_refused_and_leaves_no_finished_artifact(world: World) -> None:
    push_result(world.place, world.checkpoint)
    (weights,) = Path(f"{world.work}/durable").rglob(f"{RESULT}/weights.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert not has_result(world.place)
    with pytest.raises(ArtifactError, match="missing or altered"):
        fetch_result(world.place, world.work / "out")
    assert not (world.work / "out" / "checkpoint.json").exists()


def test_only_the_checkpoints_on_the_way_are_cleared_while_nodes_need_the_rest(world: World) -> None:
    push_result(world.place, world.checkpoint)
    world.place.push(world.checkpoint, "000000000064")
    clear(world.place, checkpoints_only=True)
    assert RESULT in world.place.directories()
    assert "000000000064" not in world.place.directories()


def test_a_node_that_is_started_anew_after_the_end_trains_nothing(world: World) -> None:
    push_result(world.place, world.checkpoint)
    fingerprint = json.loads((world.dataset / "manifest.json").read_text())["fingerprint"]
    job = world.job.model_copy(
        update={"hand_over": True, "dataset_fingerprint": fingerprint, "dataset": "s3://no/where"}
    )
    assert run_node(job) == 0


@pytest.mark.parametrize(
    ("change", "job_change", "said"),
    [
        ({"resources.nodes": 16}, {}, "training shards for 16 nodes"),
        ({"resources.processes_per_node": 5}, {}, "cannot be shared by 10 processes"),
        ({}, {"init_from": Path("other")}, "--init-from other is a directory that the nodes do not have"),
        ({}, {"checkpoint_uri": "/a/path"}, "checkpoint_uri is /a/path"),
    ],
)
def test_what_cannot_go_on_several_nodes_is_refused_before_anything_starts(
    world: World, change: dict[str, Any], job_change: dict[str, Any], said: str
) -> None:
    job: Job = world.job.model_copy(update={"recipe": override(world.recipe, change), **job_change})
    with pytest.raises(ConfigurationError, match=said):
        train_on_nodes(job, "", world.settings, world.patience)
    assert not started(world)


def test_without_a_cluster_it_is_said_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(world.work / "absent"))
    with pytest.raises(ConfigurationError, match="needs a Kubernetes cluster"):
        train_on_nodes(world.job, "", world.settings, world.patience)
