"""The process: its one line on a terminal, its exit codes, its end, and a real alias in a real store."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.__main__ import main


def clean_environment() -> dict[str, str]:
    """Without what mlflow leaves in the environment of a process that used another store."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("GANVAS_", "MLFLOW_"))}


@contextmanager
def process(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server on a free port, and its URL from the line that it prints."""
    command = [sys.executable, "-m", "serving", *map(str, arguments), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment()
    ) as running:
        try:
            assert running.stdout is not None
            line = running.stdout.readline()
            assert " at http://127.0.0.1:" in line, line + (running.stderr.read() if running.stderr else "")
            yield running, line.split()[-1]
        finally:
            running.kill()


def until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


def test_sigterm_loses_no_request(make_bundle: Any) -> None:
    body = json.dumps({"inputs": [{"name": "latent", "datatype": "FP32", "shape": [1, 6], "data": [0.0] * 6}]}).encode()
    with (
        process("--bundle", make_bundle(), "--drain-seconds", "0.5") as (running, url),
        httpx.Client(base_url=url, trust_env=False) as client,
    ):
        signature = (make_bundle() / "signature.json").read_bytes()
        assert client.get("/v2/models/tiny").json()["versions"] == [hashlib.sha256(signature).hexdigest()[:12]]
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as slow:
            head = f"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            slow.sendall(head.encode() + body[:10])
            time.sleep(0.05)
            running.send_signal(signal.SIGTERM)
            until(lambda: client.get("/v2/health/ready").status_code == 503, 5)
            assert client.get("/v2/health/live").status_code == 200
            assert client.get("/v1/models/tiny/images").status_code == 200, "it answers what still comes"
            time.sleep(0.8)
            with pytest.raises(OSError, match="refused"):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            slow.sendall(body[10:])
            assert slow.recv(100).startswith(b"HTTP/1.1 200 OK")
        assert running.wait(10) == 0
        assert running.stderr is not None
        assert "Traceback" not in running.stderr.read()


def test_a_taken_port_is_one_line(make_bundle: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        command = [sys.executable, "-m", "serving", "--bundle", make_bundle(), "--port", str(port)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert f"127.0.0.1:{port}" in ended.stderr
    assert "--port" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "registered model"),
        (["--bundle", "{}/missing"], 1, "no bundle"),
        (["--bundle", "{}"], 1, "signature.json"),
        (["m", "--bundle", "{}"], 2, "not both"),
        (["--frobnicate"], 2, "--frobnicate"),
        (["m", "--port", "x"], 2, "port"),
        (["m", "--port", "70000"], 2, "port"),
        (["m", "--poll-seconds", "0"], 2, "poll_seconds"),
        (["m", "m"], 2, "twice"),
        (["a/b"], 2, "name"),
        (["m", "--name", "x"], 2, "--bundle"),
        (["m", "--host", "256.256.256.256", "--port", "0"], 1, "256"),
        (["--bundle", "{}", "--require-verdict"], 2, "verdict"),
    ],
)
def test_wrong_use_is_one_line(
    arguments: list[str], code: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([argument.format(tmp_path) for argument in [*arguments]] + free_port(arguments)) == code
    error = capsys.readouterr().err
    assert error.startswith("ganvas-serve: ")
    assert error.count("\n") == 1
    assert words in error


def free_port(arguments: list[str]) -> list[str]:
    return [] if "--port" in arguments else ["--port", "0"]


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("GANVAS_SERVE_MAX_BATCH", "many")
    assert main(["m", "--port", "0"]) == 2
    assert "GANVAS_SERVE_MAX_BATCH" in capsys.readouterr().err


@pytest.mark.long
def test_a_real_alias_is_followed(make_bundle: Any, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    promoter_command = [
        sys.executable,
        Path(__file__).with_name("promoter.py"),
        uri,
        "m",
        "passed",
        make_bundle(),
    ]
    with (
        process("m", "--tracking-uri", uri, "--poll-seconds", "0.1") as (running, url),
        httpx.Client(base_url=url, trust_env=False) as client,
    ):
        assert client.get("/v2/health/live").status_code == 200
        assert client.get("/v2/health/ready").status_code == 503
        with subprocess.Popen(
            promoter_command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=clean_environment(),
        ) as promoter:
            assert promoter.stdin is not None
            assert promoter.stdout is not None

            def served() -> tuple[str | None, str | None]:
                headers = client.get("/v1/models/m/images?n=1").headers
                return headers.get("ganvas-model-version"), headers.get("ganvas-model-verdict")

            assert promoter.stdout.readline() == "1\n"
            until(lambda: served() == ("1", "passed"), 150)
            for command, version, verdict in [
                (f"failed {make_bundle(seed=1)}", "2", "failed"),
                ("alias 1", "1", "passed"),
            ]:
                print(command, file=promoter.stdin, flush=True)
                assert promoter.stdout.readline() == f"{version}\n"
                until(lambda expected=(version, verdict): served() == expected, 20)  # type: ignore[misc]
            promoter.stdin.close()
        running.terminate()
        assert running.wait(20) == 0


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_rollback_is_followed_where_artifacts_lie_in_s3(s3: Any, make_bundle: Any, tmp_path: Path) -> None:
    """A store in a file, which mlflow itself opens, with its artifacts in S3, which serving reads by itself."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    environment = clean_environment() | {"PROMOTER_ARTIFACTS": "s3://models/mlflow"}
    promoter = [sys.executable, Path(__file__).with_name("promoter.py"), uri, "m", "passed", make_bundle()]
    promoted = subprocess.run(
        promoter,
        input=f"passed {make_bundle(seed=1)}\n",
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert promoted.stdout == "1\n2\n"
    arguments = ["m", "other=" + str(make_bundle(seed=2)), "--tracking-uri", uri, "--poll-seconds", "0.1"]
    with process(*arguments) as (running, url), httpx.Client(base_url=url, trust_env=False) as client:

        def served(version: str) -> bool:
            return client.get("/v1/models/m/images?n=1").headers.get("ganvas-model-version") == version

        until(lambda: served("2"), 150)
        # In one process, for mlflow is slow to import: what `ganvas rollback` does, and versions by their numbers.
        script = f"""
from components.promote.core import rollback
from serving.registry.reader import open_registry
registry = open_registry({uri!r})
assert registry.find("m", "2") == registry.resolve("m", "champion")
assert rollback("m", "1") == ("2", "1")
assert registry.find("m", "1") == registry.resolve("m", "champion")
assert registry.find("m", "9") is registry.find("n", "1") is None
"""
        environment = clean_environment() | here() | {"MLFLOW_TRACKING_URI": uri}
        rolled = subprocess.run([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, env=environment)
        assert rolled.returncode == 0, rolled.stderr
        until(lambda: served("1"), 60)
        assert client.get("/v1/models/other/images?n=1").status_code == 200
        assert 'swaps_total{model="m",outcome="success"} 2.0' in client.get("/metrics").text
        running.terminate()
        assert running.wait(20) == 0


def test_ganvas_serve_hands_everything_over(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipelines.cli.main", "serve", "m@a", "n=d", "--port", "0", "--print-settings"]
    printed = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=tmp_path, env=clean_environment() | here()
    )
    shown = {name: entry["value"] for name, entry in json.loads(printed.stdout).items()}
    assert (shown["models"], shown["port"]) == (["m@a", "n=d"], 0)
    assert shown["tracking_uri"] == f"sqlite:///{tmp_path}/runs/mlflow.db"


def here() -> dict[str, str]:
    """Where the packages lie, for a process that starts elsewhere."""
    return {"PYTHONPATH": str(Path(__file__).parents[2])}


def test_the_registry_is_where_the_pipeline_keeps_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from components.tracking import tracking_uri
    from serving.settings import read_settings

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert read_settings(models=("m",)).registry_uri == tracking_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert read_settings(models=("m",)).registry_uri == tracking_uri()
    assert read_settings(models=("m",), tracking_uri="http://x").registry_uri == "http://x"
