"""Ten thousand objects and large ranged ones through a network that fails: nothing lost, doubled or altered.

    make campaign NAME=s3
    python -m tests.campaigns.s3 --objects 10000 --record docs/benchmarks/s3.md

A real S3 server on loopback stands behind a proxy that answers a share of the requests with 500 or 503, resets the
connection, breaks the body off, waits, or flips a byte. The objects are read as a data source reads them, in two
partitions; after the listing some are replaced and some removed, which must be stated. The large ones are downloaded
by ranges in parallel. Every body's SHA-256 is compared with what was uploaded.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.prepare.sources.s3 import S3Source
from components.prepare.sources.source import Encoded, Item, Rejection
from components.storage.objects import Bucket
from components.storage.retry import Retry
from tests.components.storage.faults import FaultyProxy, proxy
from tests.components.storage.server import CREDENTIALS, client, running_s3

BUCKET = "campaign"
RETRY = Retry(attempts=6, first_pause_seconds=0.01)


def main() -> int:
    """Upload, read, compare; 0 where every object came out once and whole."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=4, help="objects that are fetched by ranges")
    parser.add_argument("--large-mib", type=int, default=96, help="size of each of them")
    parser.add_argument("--share", type=float, default=0.1, help="of the first attempts that are spoiled")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", type=Path, help="Markdown file for the results")
    arguments = parser.parse_args()
    dice = random.Random(arguments.seed)
    with (
        running_s3() as url,
        proxy(url, arguments.seed, arguments.share) as network,
        tempfile.TemporaryDirectory() as place,
    ):
        os.environ.update(CREDENTIALS, AWS_ENDPOINT_URL=network.url)
        direct = client(url)
        direct.create_bucket(Bucket=BUCKET)
        rows = [*_small(direct, network, dice, arguments.objects)]
        rows += _large(direct, network, dice, arguments.large, arguments.large_mib << 20, Path(place))
    failed = sum(int(value) for name, value in rows if name.startswith("**"))
    lines = [
        "# S3 through faults",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; `python -m {__spec__.name} {' '.join(sys.argv[1:])}`; seed {arguments.seed}; "
        f"{os.cpu_count()} cores",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
    ]
    print("\n".join(lines))
    if arguments.record:
        arguments.record.write_text("\n".join(lines))
    return 1 if failed else 0


def _small(direct: Any, network: FaultyProxy, dice: random.Random, count: int) -> list[tuple[str, str]]:
    bodies = {f"class {number % 7}/{number:06}.png": dice.randbytes(dice.randrange(20_000)) for number in range(count)}

    def put(name: str) -> None:
        direct.put_object(Bucket=BUCKET, Key=f"set/{name}", Body=bodies[name])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, bodies))
    print(f"{count:,} objects are there", flush=True)
    started = time.perf_counter()
    source = S3Source(BUCKET, "set", RETRY)
    items = [entry for entry in source.listing() if isinstance(entry, Item)]
    listed_seconds = time.perf_counter() - started
    touched = dice.sample(sorted(bodies), min(40, count // 10))
    replaced, removed = set(touched[::2]), set(touched[1::2])
    for name in replaced:
        direct.put_object(Bucket=BUCKET, Key=f"set/{name}", Body=b"another")
    for name in removed:
        direct.delete_object(Bucket=BUCKET, Key=f"set/{name}")
    expected = {name: hashlib.sha256(body).hexdigest() for name, body in bodies.items()}
    expected |= dict.fromkeys(replaced, "changed while it was read") | dict.fromkeys(removed, "unreadable: NoSuchKey")
    came: Counter[str] = Counter()
    altered = 0
    started = time.perf_counter()
    for partition in (items[::2], items[1::2]):
        for entry in source.read(partition):
            assert isinstance(entry, Encoded | Rejection)
            came[entry.name] += 1
            told = entry.reason if isinstance(entry, Rejection) else hashlib.sha256(entry.content).hexdigest()
            altered += told != expected.get(entry.name)
    seconds = time.perf_counter() - started
    return [
        ("objects listed", f"{len(items):,} of {count:,}, in {listed_seconds:.1f} s"),
        ("objects read", f"{came.total():,} in {seconds:.1f} s"),
        ("of them replaced or removed after the listing, and stated so", f"{len(touched)}"),
        ("**lost**", str(len(bodies.keys() - came.keys()))),
        ("**doubled**", str(came.total() - len(came))),
        ("**altered, or with another reason**", str(altered)),
        ("requests", f"{len(network.requests):,}"),
        ("faults", _faults(network)),
    ]


def _large(
    direct: Any, network: FaultyProxy, dice: random.Random, count: int, size: int, place: Path
) -> list[tuple[str, str]]:
    bucket = Bucket(BUCKET, RETRY)
    altered, seconds = 0, 0.0
    network.faults.clear()
    before = len(network.requests)
    for number in range(count):
        body = dice.randbytes(size - number)
        direct.put_object(Bucket=BUCKET, Key=f"large/{number}", Body=body)
        started = time.perf_counter()
        found = bucket.find(f"large/{number}")
        failed = bucket.download(found, place / "file") if found else "not found"
        seconds += time.perf_counter() - started
        altered += bool(failed) or (place / "file").read_bytes() != body
    return [
        ("large objects, by ranges of 8 MiB", f"{count} of {size >> 20} MiB in {seconds:.1f} s"),
        ("**large ones lost or altered**", str(altered)),
        ("their requests", f"{len(network.requests) - before:,}"),
        ("their faults", _faults(network)),
    ]


def _faults(network: FaultyProxy) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in sorted(network.faults.items())) or "none"


if __name__ == "__main__":
    sys.exit(main())
