"""Coverage-guided fuzzing of the protocol's codec by atheris: any bytes are a request or one clear error.

    make campaign NAME=codec
    python -m tests.campaigns.codec --seconds 600 --record docs/benchmarks/codec.md

atheris (libFuzzer for Python) is installed beside the project's environment for the run. It sees which branches of the
codec, of the JSON documents and of decompression an input reaches and mutates those that reach new ones; it begins with
sound requests. Anything but :class:`serving.errors.RequestError` is a failure, and so is an accepted request whose
arrays are not what they say.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks.peers import installed

_SPLIT = 2
"""Bytes before the body: what it is, and how long its JSON is."""


def one_input(data: bytes) -> None:
    """Decode; raise only what is a defect."""
    from serving.bundle.signature import Tensor
    from serving.errors import RequestError
    from serving.http.compression import decompress
    from serving.protocol.codec import decode_raw, decode_request, encode_response
    from serving.protocol.metadata import decode_index_query

    if len(data) < _SPLIT + 1:
        return
    kind, length, body = data[0] % 6, data[1] * 2, data[_SPLIT:]
    try:
        match kind:
            case 0 | 1 | 2:
                request = decode_request(body, None if kind == 0 else length)
                for value in request.inputs.values():
                    assert value.size >= 1
                    assert value.dtype.kind != "f" or np.isfinite(value).all()
                encode_response("m", "1", request, request.inputs)
            case 3:
                tensor = Tensor(name="latent", dtype="float32", shape=(-1, 3))
                request = decode_raw(body, (tensor,))
                assert request.inputs["latent"].shape[1:] == (3,)
            case 4:
                assert len(decompress(body, "gzip" if length & 2 else "deflate", 1000)) <= 1000
            case _:
                decode_index_query(body)
    except RequestError:
        pass


def seeds(directory: Path) -> None:
    """Sound requests of each kind."""
    entry = {"name": "latent", "shape": [1, 3], "datatype": "FP32"}
    plain = json.dumps({"id": "1", "inputs": [entry | {"data": [0.5, 1, -2e3]}], "outputs": [{"name": "image"}]})
    head = json.dumps({"inputs": [entry | {"parameters": {"binary_data_size": 12}}]})
    wanted = {"name": "image", "parameters": {"binary_data": True}}
    nested = json.dumps({"inputs": [entry | {"data": [[True, False, True]], "datatype": "BOOL"}], "outputs": [wanted]})
    head += " " * (len(head) % 2)
    contents = [
        bytes([0, 0]) + plain.encode(),
        bytes([0, 0]) + nested.encode(),
        bytes([1, len(head) // 2]) + head.encode() + np.zeros(3, dtype=np.float32).tobytes(),
        bytes([3, 0]) + np.ones(6, dtype=np.float32).tobytes(),
        bytes([4, 1]) + gzip.compress(plain.encode()),
        bytes([5, 0]) + b'{"ready": true}',
    ]
    for number, content in enumerate(contents):
        (directory / f"seed-{number}").write_bytes(content)


def fuzz(arguments: list[str]) -> None:
    """In a process of its own: libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=["serving"]):
        import serving.http.compression
        import serving.protocol.codec
        import serving.protocol.metadata  # noqa: F401 - to be instrumented
    atheris.Setup([sys.argv[0], *arguments], one_input)
    atheris.Fuzz()


def main() -> int:
    """0 where nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--record", type=Path, help="Markdown file for the results")
    parser.add_argument("--inside", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside is not None:
        fuzz(options.inside)
        return 0
    with installed(["atheris>=3"]), tempfile.TemporaryDirectory() as directory:
        corpus = Path(directory) / "corpus"
        corpus.mkdir()
        seeds(corpus)
        libfuzzer = [
            f"-max_total_time={options.seconds}",
            "-max_len=600",
            "-timeout=10",
            "-rss_limit_mb=2048",
            "-seed=1",
        ]
        ended = subprocess.run(
            [sys.executable, "-m", "tests.campaigns.codec", "--inside", *libfuzzer, str(corpus)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=options.seconds + 120,
            check=False,
        )
        inputs = len(list(corpus.iterdir()))
    runs = re.findall(r"Done (\d+) runs|#(\d+)\s+(?:DONE|NEW|REDUCE|pulse)", ended.stderr)
    count = max((int(number) for found in runs for number in found if number), default=0)
    covered = re.findall(r"cov: (\d+)", ended.stderr)
    row = f"| {options.seconds} s | {count:,} | {covered[-1] if covered else '?'} | {inputs} | {ended.returncode} |"
    text = "\n".join(
        [
            "# Fuzzing the protocol's codec",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores; "
            f"`python -m {__spec__.name} {' '.join(sys.argv[1:])}`",
            "",
            "| time | inputs tried | branches reached | inputs kept | exit code (0: nothing but requests and errors) |",
            "|---|---|---|---|---|",
            row,
            "",
        ]
    )
    print(text)
    if ended.returncode or not count:
        print(ended.stderr[-4000:], file=sys.stderr)
        return 1
    if options.record:
        options.record.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
