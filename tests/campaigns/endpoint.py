"""What trusted servers get wrong, tried on a real server process: swaps, aborts, crowds, bombs, trickles, the end.

    make campaign NAME=endpoint
    python -m tests.campaigns.endpoint --record docs/benchmarks/endpoint.md
    python -m tests.campaigns.endpoint --only soak --soak-seconds 1800

Each part starts a server of its own, with the limits that it needs, on a free port of loopback, and ends it by its
process id. Latencies are compared within a run.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from benchmarks.serve import pictures
from benchmarks.servers.bundles import write_dcgan

ROOT = Path(__file__).parent.parent.parent
NAME = "dcgan"
LATENT = 100
MIB = 1 << 20
PATH = f"/v1/models/{NAME}/images?n=1&seed="


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    found: str
    aim: str
    reached: bool


class Process:
    """A server, and what the operating system says of it."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        self.port = int(url.rpartition(":")[2])

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, trust_env=False, timeout=60)

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1])
        raise KeyError(name)

    def peak_bytes(self) -> int:
        """The largest memory since the last :meth:`forget_peak`."""
        return self._status("VmHWM") * 1024

    def memory_bytes(self) -> int:
        return self._status("VmRSS") * 1024

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def threads(self) -> int:
        return self._status("Threads")

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))  # noqa: PTH208 - a count of names


@contextmanager
def served(*arguments: object, **settings: object) -> Iterator[Process]:
    """A server on a free port; settings go by the environment."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("GANVAS_", "MLFLOW_"))}
    environment |= {f"GANVAS_SERVE_{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "serving", *map(str, arguments), "--port", "0"]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment, cwd=ROOT, start_new_session=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if " at http://127.0.0.1:" not in line:
                log.seek(0)
                raise RuntimeError(f"the server did not start: {line}{log.read()}")
            url = next(word for word in line.split() if word.startswith("http://127.0.0.1:")).rstrip(",")
            server = Process(process, url)
            yield server
        finally:
            if process.poll() is None:
                process.kill()


@contextmanager
def load(server: Process, connections: int, seconds: float, work: Path) -> Iterator[dict[str, Any]]:
    """Load in the background; its result stands in what is given when the block has ended."""
    files = []
    for number, request in enumerate(pictures(NAME)):
        files.append(work / f"{number}.request")
        files[-1].write_bytes(request)
    command = [sys.executable, "-m", "benchmarks.load", "--port", str(server.port), "--connections", str(connections)]
    result: dict[str, Any] = {}
    with subprocess.Popen(
        [*command, "--seconds", str(seconds), "--field", "ganvas-model-version", *map(str, files)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        yield result
        output, _ = process.communicate(timeout=seconds + 120)
        result |= json.loads(output)


def latencies(server: Process, count: int) -> list[float]:
    """Seconds of so many requests, one after the other."""
    found = []
    with server.client() as client:
        for number in range(count + 3):
            started = time.perf_counter()
            client.get(PATH + str(number)).raise_for_status()
            found.append(time.perf_counter() - started)
    return found[3:]


# -- parts --------------------------------------------------------------------------------------------


def moves(bundle: Path, work: Path) -> list[Row]:
    """Four moves of an alias under load, and candidates that must never answer."""
    from tests.campaigns.candidates import spoiled
    from tests.mlflow_server import mlflow_server

    seconds = 40.0
    other = write_dcgan(work / "other" / NAME, LATENT)
    with mlflow_server(work / "mlflow") as uri:
        promoter = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "serving" / "promoter.py"), uri, NAME, "passed", str(bundle)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

        def promote(line: str) -> str:
            assert promoter.stdin is not None and promoter.stdout is not None
            promoter.stdin.write(line + "\n")
            promoter.stdin.flush()
            return promoter.stdout.readline().strip()

        try:
            assert promoter.stdout is not None
            first = promoter.stdout.readline().strip()
            with served(NAME, "--tracking-uri", uri, poll_seconds=0.5) as server:
                wait_ready(server)
                with load(server, 8, seconds, work) as quiet:
                    pass
                seen: list[str] = []
                with load(server, 8, seconds, work) as moved:
                    time.sleep(3)
                    second = promote(f"passed {other}")
                    seen.append(await_version(server, second))
                    for version in (first, second, first):
                        promote(f"alias {version}")
                        seen.append(await_version(server, version))
                refused = []
                for name, directory in spoiled(bundle, work / "spoiled"):
                    reason = await_problem(server, promote(f"passed {directory}"))
                    refused.append(f"{name}: {reason}")
                    with server.client() as client:
                        assert client.get(PATH + "1").headers["ganvas-model-version"] == first
                    promote(f"alias {first}")
                    await_version(server, first)
        finally:
            promoter.terminate()
            promoter.wait()
    errors = {status: count for status, count in moved["statuses"].items() if status != "200"}
    ratio = moved["worst"] / quiet["worst"]
    return [
        Row(
            f"four moves of the alias under load, versions {', '.join(seen)}: errors",
            f"{sum(errors.values())} of {sum(moved['statuses'].values()):,}",
            "0",
            not errors,
        ),
        Row(
            "answers by the version that they name",
            ", ".join(f"{count:,} of {version or 'none'}" for version, count in sorted(moved["values"].items())),
            f"each names exactly one of {first} and {second}",
            set(moved["values"]) == {first, second}
            and sum(moved["values"].values()) == sum(moved["statuses"].values()),
        ),
        Row(
            "worst latency against a run without moves",
            f"{ratio:.2f} ({moved['worst'] / 1e3:.0f} and {quiet['worst'] / 1e3:.0f} ms)",
            "at most 3",
            ratio <= 3,
        ),
        Row(
            "candidates that must not answer",
            "; ".join(refused),
            "each refused with its reason",
            len(refused) == 4 and all("is refused: " in reason for reason in refused),
        ),
    ]


def wait_ready(server: Process) -> None:
    until(lambda: _ready(server), 60)


def _ready(server: Process) -> bool:
    with server.client() as client:
        return client.get("/v2/health/ready").status_code == 200


def await_version(server: Process, version: str) -> str:
    def answers() -> bool:
        with server.client() as client:
            return client.get(f"/v2/models/{NAME}").headers["ganvas-model-version"] == version

    until(answers, 60)
    return version


def await_problem(server: Process, version: str) -> str:
    """What the server says of a version that it does not take."""
    found: list[str] = []

    def told() -> bool:
        with server.client() as client:
            (entry,) = client.post("/v2/repository/index").json()
        found[:] = [entry["reason"]]
        return f"version {version} " in entry["reason"]

    until(told, 60)
    return found[0]


def until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not come to pass")
        time.sleep(0.05)


def aborts(bundle: Path, work: Path) -> list[Row]:
    """300 requests whose clients leave, and then one that stays."""
    with served("--bundle", bundle, "--name", NAME) as server, server.client() as client:
        idle = statistics.median(latencies(server, 15))
        after = []
        for _ in range(5):
            for _ in range(300):
                connection = socket.create_connection(("127.0.0.1", server.port))
                connection.sendall(f"GET {PATH}7&n=16 HTTP/1.1\r\nHost: x\r\n\r\n".replace("n=1&", "", 1).encode())
                connection.close()
            started = time.perf_counter()
            client.get(PATH + "3").raise_for_status()
            after.append(time.perf_counter() - started)
            time.sleep(0.5)
    ratio = statistics.median(after) / idle
    found = f"{ratio:.1f} times idle ({1e3 * statistics.median(after):.0f} and {1e3 * idle:.0f} ms; median of 5)"
    return [Row("300 requests of 16 pictures aborted, then one of one", found, "at most 3", ratio <= 3)]


def crowd(bundle: Path, work: Path) -> list[Row]:
    """400 connections at a time."""
    with served("--bundle", bundle, "--name", NAME, max_requests=64, max_queue=64) as server:
        with load(server, 16, 6, work) as few:
            pass
        with load(server, 400, 10, work) as many:
            pass
        latencies(server, 3)  # and it answers again
    statuses = many["statuses"]
    shed = statuses.get("503", 0)
    others = {status: count for status, count in statuses.items() if status not in ("200", "503")}
    return [
        Row(
            "400 connections, 64 places: answers other than 200 and 503",
            f"{sum(others.values())} ({statuses.get('200', 0):,} of 200, {shed:,} of 503, "
            f"{many['refusals_with_retry_after']:,} of them with Retry-After)",
            "0, and 503 with Retry-After for the rest",
            not others and shed == many["refusals_with_retry_after"] > 0,
        ),
        Row(
            "p99 of answers at 400 connections, and at 16",
            f"{many['p99_of_200'] / 1e3:.0f} ms and {few['p99_of_200'] / 1e3:.0f} ms",
            "bounded: at most 10 times",
            many["p99_of_200"] <= 10 * few["p99_of_200"],
        ),
    ]


def bombs(bundle: Path, work: Path) -> list[Row]:
    """Bodies that would fill the memory."""
    rows = []
    infer = f"/v2/models/{NAME}/infer"
    with served("--bundle", bundle, "--name", NAME) as server:
        latencies(server, 3)

        def chunks(size: int, count: int) -> Iterator[bytes]:
            yield b"POST " + infer.encode() + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            part = f"{size:x}\r\n".encode() + b" " * size + b"\r\n"
            step = max(1, 65_536 // len(part))
            for _ in range(0, count, step):
                yield part * step
            yield b"0\r\n\r\n"

        def announced() -> Iterator[bytes]:
            yield f"POST {infer} HTTP/1.1\r\nHost: x\r\nContent-Length: {200 * MIB}\r\n\r\n".encode()
            for _ in range(200):
                yield b" " * MIB

        def packed() -> Iterator[bytes]:
            body = gzip.compress(b" " * (100 * MIB))
            yield (
                f"POST {infer} HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
            ).encode() + body

        attacks: list[tuple[str, Iterator[bytes], tuple[int, ...]]] = [
            ("a body of 200 MB, announced", announced(), (413,)),
            ("a body of 200 MB in chunks of 64 KiB", chunks(65_536, 3_200), (413,)),
            ("100 MB in gzip at 1000:1", packed(), (413,)),
            ("a million chunks of one byte", chunks(1, 1_000_000), (400,)),
        ]
        for name, parts, allowed in attacks:
            before = server.memory_bytes()
            server.forget_peak()
            status = status_of(server, parts)
            growth = server.peak_bytes() - before
            rows.append(
                Row(
                    name,
                    f"{status}, {growth / MIB:.1f} MB",
                    f"{allowed[0]}, under 10 MB more",
                    status in allowed and growth < 10 * MIB,
                )
            )
        latencies(server, 3)
    return rows


def status_of(server: Process, parts: Iterator[bytes]) -> int:
    """The status of a request that is sent as far as the server takes it."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):
            for part in parts:
                connection.sendall(part)
        try:
            return int(connection.recv(4096)[9:12] or b"0")
        except ConnectionResetError:
            return 0


def trickles(bundle: Path, work: Path) -> list[Row]:
    """A head and a body that come byte by byte."""
    rows = []
    head = f"POST /v2/models/{NAME}/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n".encode()
    with served("--bundle", bundle, "--name", NAME, receive_seconds=2) as server:
        for name, first in (("trickled headers", b"GET / HTTP/1.1\r\nX: "), ("a trickled body", head)):
            started = time.monotonic()
            with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
                connection.sendall(first)
                connection.settimeout(0.05)
                received, closed = b"", False
                while not closed and time.monotonic() - started < 15:
                    with suppress(TimeoutError):
                        part = connection.recv(4096)
                        received, closed = received + part, not part
                    with suppress(OSError):
                        connection.send(b"a")
                    time.sleep(0.05)
            seconds = time.monotonic() - started
            status = received[9:12].decode() or "no answer"
            rows.append(
                Row(
                    f"{name}, deadline 2 s",
                    f"closed after {seconds:.1f} s, {status}",
                    "closed at its deadline",
                    closed and seconds < 4,
                )
            )
    return rows


def ending(bundle: Path, work: Path) -> list[Row]:
    """SIGTERM at 16 clients."""
    lost: Counter[str] = Counter()
    answered: Counter[int] = Counter()
    refused_first: list[float] = []
    with served("--bundle", bundle, "--name", NAME, drain_seconds=1.5) as server:

        def ask(number: int) -> None:
            with server.client() as client:
                while True:
                    try:
                        answered[client.get(PATH + str(number)).status_code] += 1
                    except httpx.ConnectError:
                        return  # the socket is closed: a load balancer would not have come
                    except httpx.HTTPError as error:
                        lost[type(error).__name__] += 1
                        return

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        time.sleep(2)
        children = descendants(server.process.pid)
        server.process.send_signal(signal.SIGTERM)
        signalled = time.monotonic()
        with server.client() as client:
            until(lambda: client.get("/v2/health/ready").status_code == 503, 5)
        refused_first.append(time.monotonic() - signalled)
        still = httpx.get(server.url + PATH + "5", trust_env=False).status_code
        code = server.process.wait(30)
        for thread in threads:
            thread.join(30)
        orphans = [pid for pid in children if Path(f"/proc/{pid}").exists()]
    return [
        Row(
            "SIGTERM at 16 clients: ready is 503",
            f"after {1e3 * refused_first[0]:.0f} ms, and requests still get {still}",
            "before the socket closes",
            still == 200,
        ),
        Row(
            "requests lost",
            f"{lost.total()} of {answered.total():,} ({dict(answered)}; {dict(lost)})",
            "0",
            not lost and set(answered) == {200},
        ),
        Row("exit code, processes left", f"{code}, {len(orphans)}", "0, 0", code == 0 and not orphans),
    ]


def descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *descendants(int(child))]
    return found


def hashes(bundle: Path, work: Path) -> list[Row]:
    """One seed, one picture: whatever else runs, whatever it is batched with, before and after a restart."""
    found: set[str] = set()
    asked = 0
    for instances in (1, 2):
        with served("--bundle", bundle, "--name", NAME, instances=instances) as server:
            for concurrency in (1, 8, 24):

                def ask(results: list[str], server: Process = server) -> None:
                    with server.client() as client:
                        for number in range(6):
                            client.get(f"/v1/models/{NAME}/images?n={1 + number}&seed={number}")
                            content = client.get(PATH + "12345").content
                            results.append(hashlib.sha256(content).hexdigest())

                results: list[str] = []
                threads = [threading.Thread(target=ask, args=(results,)) for _ in range(concurrency)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                found |= set(results)
                asked += len(results)
    return [
        Row(
            f"hashes of one PNG over {asked} requests at 1, 8 and 24 clients, two settings, a restart",
            str(len(found)),
            "1",
            len(found) == 1,
        )
    ]


def soak(bundle: Path, work: Path, seconds: float) -> list[Row]:
    """Mixed load for long: memory, descriptors and threads stay."""
    kinds = [
        "/",
        "/metrics",
        "/v2/health/ready",
        f"/v2/models/{NAME}",
        PATH + "{n}",
        f"/v1/models/{NAME}/images?n=9&seed={{n}}",
        f"/v1/models/{NAME}/images?n=4&format=webp&layout=zip&seed={{n}}",
        f"/v1/models/{NAME}/images?n=4&format=npy&seed={{n}}",
        f"/v1/models/{NAME}/images?n=0",
        "/nothing",
    ]
    samples: list[tuple[float, int, int, int]] = []
    failures: Counter[int] = Counter()
    with served("--bundle", bundle, "--name", NAME) as server:
        ended = time.monotonic() + seconds

        def ask(offset: int) -> None:
            number = offset
            while time.monotonic() < ended:
                with server.client() as client:  # connections come and go
                    for _ in range(50):
                        number += 7
                        answer = client.get(kinds[number % len(kinds)].format(n=number))
                        if answer.status_code >= 500:
                            failures[answer.status_code] += 1
                        if number % 11 == 0:
                            with suppress(httpx.HTTPError):
                                client.get(f"/v1/models/{NAME}/images?n=64&seed=1", timeout=0.01)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        started = time.monotonic()
        while time.monotonic() < ended:
            time.sleep(max(1.0, seconds / 60))
            samples.append((time.monotonic() - started, server.memory_bytes(), server.descriptors(), server.threads()))
        for thread in threads:
            thread.join()
        with server.client() as client:
            total = sum(
                float(line.rpartition(" ")[2])
                for line in client.get("/metrics").text.splitlines()
                if line.startswith("ganvas_serve_requests_total")
            )
    third = len(samples) // 3
    middle, last = samples[third : 2 * third], samples[2 * third :]

    def change(index: int) -> float:
        before = statistics.median(sample[index] for sample in middle)
        return statistics.median(sample[index] for sample in last) - before

    growth = change(1) / statistics.median(sample[1] for sample in middle)
    return [
        Row(
            f"{seconds / 60:.0f} minutes of mixed load, {total:,.0f} answers: memory, last third against the middle",
            f"{growth:+.1%} ({statistics.median(s[1] for s in last) / MIB:.0f} MB)",
            "no growth: at most 3 %",
            growth <= 0.03,
        ),
        Row(
            "descriptors, threads",
            f"{change(2):+.0f}, {change(3):+.0f}",
            "none more",
            change(2) <= 2 and change(3) <= 0,
        ),
        Row("answers of 5xx", str(dict(failures) or 0), "0", not failures),
    ]


PARTS: dict[str, Callable[[Path, Path], list[Row]]] = {
    "moves": moves,
    "aborts": aborts,
    "crowd": crowd,
    "bombs": bombs,
    "trickles": trickles,
    "ending": ending,
    "hashes": hashes,
}


def main() -> int:
    """0 where every aim is reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=[*PARTS, "soak"], action="append")
    parser.add_argument("--soak-seconds", type=float, default=120.0)
    parser.add_argument("--record", type=Path, help="Markdown file for the results")
    options = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        bundle = write_dcgan(work / NAME, LATENT)
        for name in options.only or [*PARTS, "soak"]:
            own = work / f"of-{name}"
            own.mkdir()
            found = soak(bundle, own, options.soak_seconds) if name == "soak" else PARTS[name](bundle, own)
            for row in found:
                print(
                    f"{'reached' if row.reached else 'NOT REACHED'}: {row.what}: {row.found} (aim: {row.aim})",
                    flush=True,
                )
            rows += found
    if options.record:
        lines = [
            "# The endpoint under attack",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores; "
            f"`python -m {__spec__.name} {' '.join(sys.argv[1:])}`",
            "",
            "| what | found | aim | reached |",
            "|---|---|---|---|",
            *(f"| {row.what} | {row.found} | {row.aim} | {'yes' if row.reached else '**no**'} |" for row in rows),
            "",
        ]
        options.record.write_text("\n".join(lines))
    return 0 if all(row.reached for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
