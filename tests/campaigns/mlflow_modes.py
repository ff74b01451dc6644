"""One large artifact into MLflow and back, in every way that a store can be set up: time, memory, the same bytes.

    make campaign NAME=mlflow_modes
    python -m tests.campaigns.mlflow_modes --megabytes 500 --record docs/benchmarks/mlflow.md

The store is a SQLite file; a server that hands artifacts through to its disk, or to an S3 bucket with users and
passwords; a server whose clients write into the bucket themselves. Sending and fetching are processes of their own, so
that their memory is theirs; a server's is the most that it and its workers ever held.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from components.artifacts import sha256_of_file
from tests.components.storage.server import CREDENTIALS, client, running_s3
from tests.mlflow_server import mlflow_server

BUCKET = "campaign"
USER, PASSWORD = "admin", "the campaign's password"


@dataclass(frozen=True)
class Setup:
    """A store as a process finds it."""

    name: str
    uri: str
    environment: dict[str, str]
    processes: list[int]


def main() -> int:
    """Send and fetch in each way; 0 where every byte came back."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--record", type=Path, help="Markdown file for the results")
    parser.add_argument("--act", nargs=3, metavar=("send|fetch", "RUN", "PLACE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.act:
        return _act(*arguments.act)
    failures, rows = 0, []
    with tempfile.TemporaryDirectory() as directory, running_s3() as s3:
        work = Path(directory)
        client(s3).create_bucket(Bucket=BUCKET)
        digest = _write(work / "large.bin", arguments.megabytes)
        for setup in _setups(work, s3):
            sent = _timed(setup, "send", work / "large.bin", "")
            back = work / "back"
            fetched = _timed(setup, "fetch", back, str(sent["run_id"]))
            same = sha256_of_file(back / "large" / "large.bin") == digest
            failures += not same
            shutil.rmtree(back)
            server = _peak_megabytes(setup.processes)
            rows.append(
                f"| {setup.name} | {sent['seconds']:.1f} | {fetched['seconds']:.1f} | {sent['peak_mb']:.0f} | "
                f"{fetched['peak_mb']:.0f} | {f'{server:.0f}' if server else '–'} | {'yes' if same else '**no**'} |"
            )
            print(rows[-1], flush=True)
    lines = [
        "# One large artifact into MLflow and back",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; `python -m {__spec__.name} {' '.join(sys.argv[1:])}`; {os.cpu_count()} cores, "
        "server, bucket and clients on one machine. Seconds include the client's start with mlflow's import; memory is "
        "the most that was ever resident, of a server with its workers added up.",
        "",
        f"| store, {arguments.megabytes} MB | send, s | fetch, s | sender, MB | fetcher, MB | server, MB | same |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
    ]
    print("\n".join(lines))
    if arguments.record:
        arguments.record.write_text("\n".join(lines))
    return 1 if failures else 0


def _setups(work: Path, s3: str) -> Iterator[Setup]:
    """Each while it runs."""
    storage = CREDENTIALS | {"AWS_ENDPOINT_URL": s3}
    yield Setup("SQLite file", f"sqlite:///{work}/file/mlflow.db", {}, [])
    processes: list[int] = []
    with mlflow_server(work / "disk", processes=processes) as uri:
        yield Setup("server, through it to its disk", uri, {}, processes)
    (work / "auth.ini").write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{work}/auth.db\nadmin_username = {USER}\n"
        f"admin_password = {PASSWORD}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    told = {"MLFLOW_AUTH_CONFIG_PATH": str(work / "auth.ini"), "MLFLOW_FLASK_SERVER_SECRET_KEY": "campaign"}
    options = ["--app-name", "basic-auth", "--artifacts-destination", f"s3://{BUCKET}/through"]
    user = {"MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": PASSWORD}
    processes = []
    with mlflow_server(work / "through", *options, environment=storage | told, processes=processes) as uri:
        yield Setup("server with passwords, through it to S3", uri, user, processes)
    options = ["--default-artifact-root", f"s3://{BUCKET}/direct", "--no-serve-artifacts"]
    processes = []
    with mlflow_server(work / "direct", *options, processes=processes) as uri:
        yield Setup("server, past it to S3", uri, storage, processes)


def _timed(setup: Setup, act: str, place: Path, run_id: str) -> dict[str, float | str]:
    command = [sys.executable, "-m", __spec__.name, "--act", act, run_id, str(place)]
    told = {"MLFLOW_TRACKING_URI": setup.uri} | setup.environment
    started = time.perf_counter()
    done = subprocess.run(command, env=os.environ | told, stdout=subprocess.PIPE, text=True, check=True)
    seconds = time.perf_counter() - started
    said: dict[str, float | str] = json.loads(done.stdout.splitlines()[-1])
    return said | {"seconds": seconds}


def _act(act: str, run_id: str, place: str) -> int:
    """What a process of its own does."""
    from components.tracking import Tracking

    store = Tracking()
    with contextlib.redirect_stdout(sys.stderr):
        if act == "send":
            run_id = store.run_for("large", "campaign")
            store.log_files(run_id, [Path(place)], "large")
        else:
            Path(place).mkdir()
            store.client.download_artifacts(run_id, "large", place)
    print(json.dumps({"run_id": run_id, "peak_mb": _peak_megabytes([os.getpid()])}))
    return 0


def _write(path: Path, megabytes: int) -> str:
    digest = hashlib.sha256()
    with path.open("wb") as stream:
        for _ in range(megabytes):
            block = os.urandom(1_000_000)
            stream.write(block)
            digest.update(block)
    return digest.hexdigest()


def _peak_megabytes(processes: list[int]) -> float:
    """The most that processes and their descendants held, added up.

    Not ``getrusage``: its peak begins with what the parent held when it forked.
    """
    total = 0.0
    for process in processes:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                total += int(line.split()[1]) / 1024
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        total += _peak_megabytes([int(child) for child in children])
    return total


if __name__ == "__main__":
    sys.exit(main())
