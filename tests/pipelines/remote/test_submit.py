"""``ganvas submit``: a pipeline, a version for each content, a run with parameters; kfp's client on real HTTP."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.recipes import recipe_by_name
from pipelines.remote.schedules import list_schedules
from pipelines.remote.server import Address, Server
from tests.pipelines.commands import Ganvas, Said, assert_one_error
from tests.pipelines.remote.fake import Fake, Page, looking, running_fake, task

IMAGE = "registry.example/ganvas@sha256:" + "0" * 64
STORE = ("--tracking-uri", "http://mlflow.mlflow:5000")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # kfp's own


@pytest.fixture
def kfp_server() -> Iterator[Fake]:
    with running_fake() as fake:
        yield fake


@pytest.fixture(autouse=True)
def _one_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANVAS_CODE_REVISION", "0123456789abcdef-dirty")
    monkeypatch.setenv("HOME", "/nonexistent")


def submitted(ganvas: Ganvas, server: Fake, *more: object) -> Said:
    return ganvas("submit", "ring-gan", "--host", server.url, "--image", IMAGE, *STORE, *more)


def test_a_new_content_is_a_new_version_and_the_same_is_not_uploaded_twice(ganvas: Ganvas, kfp_server: Fake) -> None:
    first = submitted(ganvas, kfp_server, "--json")
    assert first.code == 0, first.err
    (pipeline,) = kfp_server.pipelines
    (version,) = kfp_server.versions
    assert pipeline["display_name"] == "ganvas-train-and-promote"
    assert version["display_name"].startswith("ring-gan-0123456789ab-dirty-")
    assert next(yaml.safe_load_all(version["text"]))["pipelineInfo"]["name"] == "ganvas-train-and-promote"
    assert version["text"].count(IMAGE) >= 9
    told = json.loads(first.out)
    assert told["url"] == f"{kfp_server.url}/#/runs/details/run-0"
    assert told["version_id"] == "version-0"

    again = submitted(ganvas, kfp_server, "--set", "seed=5")
    assert again.code == 0
    assert "was there already" in again.err
    assert len(kfp_server.versions) == 1, "another seed is another argument, not another graph"
    other = submitted(ganvas, kfp_server, "--checkpoint-uri", "s3://b/p")
    assert other.code == 0
    assert len(kfp_server.versions) == 2
    assert len(kfp_server.pipelines) == 1
    assert [one["display_name"] for one in kfp_server.experiments] == ["ganvas"]
    assert {run["experiment_id"] for run in kfp_server.runs} == {"experiment-0"}


def test_what_was_set_becomes_the_runs_arguments(ganvas: Ganvas, kfp_server: Fake) -> None:
    changes = [
        "seed=7",
        "training.images_seen=5000",
        "gate.mode_kl_samples_to_data_nats=0.5",
        "model.latent_size=3",
        "resources.nodes=2",
    ]
    sets = [part for change in changes for part in ("--set", change)]
    parameters = [
        "accelerator_count=4",
        "accelerator_type=amd.com/gpu",
        'tolerations=[{"key":"gpu","operator":"Exists"}]',
    ]
    more = [part for parameter in parameters for part in ("--parameter", parameter)]
    said = submitted(ganvas, kfp_server, *sets, *more, "--name", "mine", "--service-account", "me")
    assert said.code == 0, said.err
    (body,) = kfp_server.bodies("POST", "/apis/v2beta1/runs")
    limits = recipe_by_name("ring-gan").gate.model_dump(mode="json", exclude_none=True)
    given = body["runtime_config"]["parameters"]
    assert given.pop("gate_limits") == {
        name: 0.5 if name == "mode_kl_samples_to_data_nats" else limits[name] for name in given_limits(kfp_server)
    }
    assert given == {
        "seed": 7,
        "images_seen": 5000,
        "nodes": 2,
        "overrides": {"model.latent_size": 3},
        "accelerator_count": 4,
        "accelerator_type": "amd.com/gpu",
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
    }
    assert body["display_name"] == "mine"
    assert body["service_account"] == "me"
    assert body["pipeline_version_reference"] == {"pipeline_id": "pipeline-0", "pipeline_version_id": "version-0"}


def given_limits(server: Fake) -> dict[str, Any]:
    graph = next(yaml.safe_load_all(server.versions[0]["text"]))
    limits: dict[str, Any] = graph["root"]["inputDefinitions"]["parameters"]["gate_limits"]["defaultValue"]
    return limits


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--parameter", "accelerator_cuont=1"], ["accelerator_cuont", "accelerator_count"]),
        (["--parameter", "accelerator_count=one"], ["accelerator_count=one", "whole number"]),
        (["--parameter", "tolerations={}"], ["tolerations", "list"]),
        (["--parameter", "seed"], ["NAME=VALUE"]),
        (["--parameter", "seed=1", "--set", "seed=2"], ["seed", "twice", "1", "2"]),
        (["--set", "training.image_seen=1"], ["image_seen", "images_seen"]),
        (["--s3-secret", "Not A Name"], ["--s3-secret", "Not A Name"]),
        (["--training-memory", "plenty"], ["--training-memory", "plenty"]),
        (["--checkpoint-uri", "/data"], ["--checkpoint-uri", "/data"]),
    ],
)
def test_wrong_use_is_said_before_anything_is_asked(
    ganvas: Ganvas, kfp_server: Fake, more: list[str], words: list[str]
) -> None:
    assert_one_error(submitted(ganvas, kfp_server, *more), 2, *words)
    assert kfp_server.requests == []


@pytest.mark.parametrize(
    ("part", "status", "words"),
    [
        ("GET /apis/v2beta1/healthz", 401, ["401", "--existing-token"]),
        ("GET /apis/v2beta1/pipelines", 403, ["403", "no right", "--namespace"]),
        ("POST /apis/v2beta1/runs", 404, ["404", "--host"]),
        ("upload_version", 500, ["500", "ml-pipeline"]),
        ("POST /apis/v2beta1/experiments", 503, ["503"]),
        ("POST /apis/v2beta1/runs", 400, ["400", "no right"]),
    ],
)
def test_what_the_server_refuses_is_one_line(
    ganvas: Ganvas, kfp_server: Fake, part: str, status: int, words: list[str]
) -> None:
    kfp_server.faults[part] = status, {"error": "user has no right to that", "code": 7}
    assert_one_error(submitted(ganvas, kfp_server), 1, kfp_server.url, *words)


def test_a_page_that_is_no_api_is_one_line(ganvas: Ganvas, kfp_server: Fake) -> None:
    kfp_server.faults[" "] = 200, "<html>a login page</html>"
    assert_one_error(submitted(ganvas, kfp_server), 1, kfp_server.url, "--host")


def test_no_server_is_one_line(ganvas: Ganvas) -> None:
    said = ganvas("submit", "ring-gan", "--host", "http://127.0.0.1:9", "--image", IMAGE, *STORE)
    assert_one_error(said, 1, "http://127.0.0.1:9", "--host")


def test_token_and_namespace_go_with_every_request(
    ganvas: Ganvas, kfp_server: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KFP_EXISTING_TOKEN", "s3cret")
    said = submitted(ganvas, kfp_server, "--namespace", "team-a")
    assert said.code == 0, said.err
    assert "s3cret" not in said.err
    assert {one.headers.get("authorization") for one in kfp_server.requests} == {"Bearer s3cret"}
    assert kfp_server.experiments[0]["namespace"] == "team-a"
    assert kfp_server.pipelines[0]["namespace"] == "team-a"


def test_a_token_is_read_from_its_file_for_each_request(ganvas: Ganvas, kfp_server: Fake, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    assert ganvas("schedule", "list", "--host", kfp_server.url, "--token-file", file).code == 0
    assert {one.headers.get("authorization") for one in kfp_server.requests} == {"Bearer first"}
    kfp_server.requests.clear()
    server = Server(Address(kfp_server.url, token_file=str(file)))
    file.write_text("second")
    assert list_schedules(server) == []
    assert kfp_server.requests[-1].headers["authorization"] == "Bearer second"


@pytest.mark.parametrize(("content", "word"), [(None, "No such file"), ("\n", "empty")])
def test_a_token_that_is_none_is_one_line(
    ganvas: Ganvas, kfp_server: Fake, tmp_path: Path, content: str | None, word: str
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    assert_one_error(submitted(ganvas, kfp_server, "--token-file", file), 1, str(file), word, "--token-file")
    assert kfp_server.requests == []


def test_a_logins_cookie_goes_with_every_request(
    ganvas: Ganvas, kfp_server: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KFP_COOKIES", "oauth2_proxy_kubeflow=s3cret")
    said = submitted(ganvas, kfp_server, "--namespace", "team-a")
    assert said.code == 0, said.err
    assert "s3cret" not in said.err
    assert {one.headers.get("cookie") for one in kfp_server.requests} == {"oauth2_proxy_kubeflow=s3cret"}


def waited(ganvas: Ganvas, server: Fake, *looks: dict[str, Any]) -> Said:
    server.script = list(looks)
    return submitted(ganvas, server, "--wait", "--poll-seconds", "0.05", "--json")


def test_waiting_shows_each_step_once_and_ends_with_the_run(ganvas: Ganvas, kfp_server: Fake) -> None:
    read = [task("read-source", "SUCCEEDED", task_id="r0"), task("read-source", "RUNNING", task_id="r1")]
    said = waited(
        ganvas,
        kfp_server,
        looking("PENDING"),
        looking("RUNNING", task("list-source-driver", "SUCCEEDED"), task("list-source", "RUNNING")),
        looking("RUNNING", task("list-source", "SUCCEEDED"), *read),
        looking("RUNNING", task("list-source", "SUCCEEDED"), *read),
        looking("SUCCEEDED", task("list-source", "SUCCEEDED"), task("Train", "SKIPPED")),
    )
    assert said.code == 0, said.err
    assert json.loads(said.out)["state"] == "SUCCEEDED"
    assert said.err.count("list the source: running") == 1
    assert "read the source: running 1/2" in said.err
    assert "train: skipped" in said.err
    assert "0:01:00" in said.err


GATE = "error: rings version 3: no alias (2 of 5 checks failed: mode share). Read the report.\n"


@pytest.mark.parametrize(
    ("log", "code", "word"),
    [
        (f"» rings\n{GATE}", 3, "2 of 5 checks failed"),
        ("error: MLflow at http://m does not answer.\n", 1, "does not answer"),
        (None, 3, "promote"),
    ],
)
def test_a_gate_that_said_no_is_told_from_a_promotion_that_could_not(
    ganvas: Ganvas, kfp_server: Fake, log: str | None, code: int, word: str
) -> None:
    if log is not None:
        kfp_server.archived["ganvas-x7k-41"] = log
    said = waited(ganvas, kfp_server, looking("FAILED", task("evaluate-model", "SUCCEEDED"), PROMOTION_FAILED))
    assert said.code == code, said.err
    assert word in said.err
    assert json.loads(said.out)["gate_failed"] is (code == 3)


PROMOTION_FAILED = task("promote-model", "FAILED", node="ganvas-x7k-41")
PODS_LOG = {"ganvas-x7k-system-container-impl-41": f"» rings\n{GATE}"}


@pytest.mark.parametrize("is_ui", [True, False])
def test_a_log_is_found_by_the_ui_and_by_the_api_server(ganvas: Ganvas, kfp_server: Fake, is_ui: bool) -> None:
    kfp_server.is_ui, kfp_server.logs = is_ui, PODS_LOG
    kfp_server.runs.append({"run_id": "run-0", "created_at": "2026-01-02T23:04:05Z"})
    kfp_server.script = [looking("FAILED", task("train-model", "SUCCEEDED"), PROMOTION_FAILED)]
    said = ganvas("watch", "run-0", "--host", kfp_server.url)
    assert said.code == 3
    assert "2 of 5 checks failed" in said.err
    asked = [one.query for one in kfp_server.requests if one.path == "/k8s/pod/logs"]
    first = {"podname": "ganvas-x7k-system-container-impl-41", "runid": "run-0", "createdat": "2026-01-02"}
    assert asked[0] == first


def test_a_log_of_one_user_of_several_is_asked_for_in_their_namespace(ganvas: Ganvas, kfp_server: Fake) -> None:
    kfp_server.has_several_users, kfp_server.logs = True, PODS_LOG
    kfp_server.runs.append({"run_id": "run-0"})
    kfp_server.script = [looking("FAILED", PROMOTION_FAILED)]
    assert ganvas("watch", "run-0", "--host", kfp_server.url, "--namespace", "team-a").code == 3
    assert "2 of 5" not in ganvas("watch", "run-0", "--host", kfp_server.url).err


def test_a_page_to_log_in_at_is_no_log(ganvas: Ganvas, kfp_server: Fake) -> None:
    for part in ("/k8s/", "/nodes/"):
        kfp_server.faults[part] = 200, Page("<html>error: 1 of 1 checks failed</html>")
    said = waited(ganvas, kfp_server, looking("FAILED", task("evaluate-model", "FAILED"), PROMOTION_FAILED))
    assert said.code == 1
    assert "no log is left" in said.err


def test_another_steps_failure_is_said_in_its_own_words(ganvas: Ganvas, kfp_server: Fake) -> None:
    kfp_server.archived["ganvas-x7k-30"] = "noise\nerror: The loss is not finite at 64 images.\n"
    pods = ["ganvas-x7k-retry-system-container-impl-31", "ganvas-x7k-retry-system-container-impl-32"]
    kfp_server.logs = {pods[1]: "noise\nerror: The loss is not finite at 640 images.\nmore noise\n"}
    failed = task("train-model", "FAILED", node="ganvas-x7k-30", error="main: exit code 1")
    attempts = task("executor", "FAILED", failed_pods=pods)
    said = waited(ganvas, kfp_server, looking("RUNNING", failed), looking("FAILED", failed, attempts))
    assert said.code == 1
    assert "train: The loss is not finite at 640 images." in said.err, "the last attempt's words"


def test_a_run_that_was_cancelled_is_no_success(ganvas: Ganvas, kfp_server: Fake) -> None:
    assert waited(ganvas, kfp_server, looking("CANCELED")).code == 1


def test_an_interrupted_wait_says_that_the_run_goes_on(
    kfp_server: Fake, subprocess_environment: dict[str, str], tmp_path: Path
) -> None:
    kfp_server.script = [looking("RUNNING", task("list-source", "RUNNING"))]
    command = [sys.executable, "-m", "pipelines.cli.main", "submit", "ring-gan", "--host", kfp_server.url]
    command += ["--image", IMAGE, "--wait", "--poll-seconds", "0.05"]
    process = subprocess.Popen(
        command, env=subprocess_environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 100
    while kfp_server.looks < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    assert f"The run goes on: {kfp_server.url}/#/runs/details/run-0" in err
    assert "ganvas watch run-0" in err


def test_a_run_is_looked_at_again(ganvas: Ganvas, kfp_server: Fake) -> None:
    submitted(ganvas, kfp_server)
    kfp_server.script = [looking("SUCCEEDED", task("train-model", "SUCCEEDED"))]
    assert ganvas("watch", "run-0", "--host", kfp_server.url).code == 0
    assert_one_error(ganvas("watch", "run-9", "--host", kfp_server.url), 1, "run-9", "404")
