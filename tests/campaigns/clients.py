"""KServe's own clients against this server, over HTTP and gRPC.

    make campaign NAME=clients
    python -m tests.campaigns.clients --record docs/benchmarks/clients.md

KServe wants other versions than ours, so that its client lives in an environment of its own, which is made here
and thrown away. Triton's clients are dependencies of the tests and are run there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.serving.conftest import Z, write_bundle

ROOT = Path(__file__).resolve().parent.parent.parent
CLIENT = ROOT / "tests" / "serving" / "kserve_client.py"
MODEL = "tiny"


def main() -> int:
    """Make the environment, ask, print a table; 0 where every check passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kserve", default="0.21.0", help="its version")
    parser.add_argument("--record", type=Path, help="Markdown file for the results")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        python = environment(Path(place) / "kserve", [f"kserve=={arguments.kserve}"])
        bundle = write_bundle(Path(place) / "bundle")
        with server(bundle) as (http, grpc):
            command = [str(python), str(CLIENT), http, grpc, MODEL, str(Z), "image"]
            asked = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    checks = [json.loads(line) for line in asked.stdout.splitlines() if line.startswith("[")]
    lines = [
        "# Clients of other houses",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; `python -m tests.campaigns.clients --record docs/benchmarks/clients.md`; "
        f"KServe's SDK {arguments.kserve} in an environment of its own",
        "",
        "| client | check | passed |",
        "|---|---|---|",
        *(
            f"| {client} | {name} | {'yes' if passed else f'**no**: {detail}'} |"
            for client, name, passed, detail in checks
        ),
    ]
    print("\n".join(lines))
    if asked.returncode or not checks:
        print(asked.stderr, file=sys.stderr)
        return 1
    if arguments.record:
        arguments.record.write_text("\n".join(lines) + "\n")
    return int(not all(passed for _, _, passed, _ in checks))


def environment(directory: Path, requirements: list[str]) -> Path:
    """A virtual environment with these requirements; gives its interpreter.

    Raises:
        RuntimeError: if there is no uv.
    """
    own = ROOT / ".bootstrap" / "bin" / "uv"
    uv = str(own) if own.exists() else shutil.which("uv")
    if uv is None:
        raise RuntimeError("the environment of KServe's client needs uv: make setup brings it")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, directory], check=True)
    python = directory / "bin" / "python"
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *requirements], check=True)
    return python


@contextmanager
def server(bundle: Path) -> Iterator[tuple[str, str]]:
    """A server in a process of its own; gives its address over HTTP and over gRPC."""
    settings = {"GANVAS_SERVE_GRPC_PORT": "0", "GANVAS_SERVE_PORT": "0", "GANVAS_SERVE_NAME": MODEL}
    command = [sys.executable, "-m", "serving", "--bundle", str(bundle)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **settings}) as running:
        try:
            assert running.stdout is not None
            places = running.stdout.readline().partition(" at ")[2].strip().split(", ")
            yield places[0], places[1].removeprefix("grpc://")
        finally:
            running.terminate()


if __name__ == "__main__":
    sys.exit(main())
