"""Load on an HTTP server: so many connections, each with one request in flight, for so long or so many requests.

The requests are bytes made before; answers are counted by their heads' content-length. It runs in a process of its own:

    python -m benchmarks.load --port 8000 --connections 32 --seconds 5 request.bin [...]

Connections take the given requests in turn. The result is one JSON line: answers by status, answers a second, and
latencies in microseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from collections import Counter
from itertools import cycle
from pathlib import Path
from typing import cast

import uvloop

_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length: "  # with the line's beginning: other fields end alike


class Connection(asyncio.Protocol):
    """One client: it sends the next request when the last answer is whole."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.received = bytearray()
        self.expected = 0
        self.status = 0
        self.started = 0.0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own are no subclass
        self._send()

    def _send(self) -> None:
        self.expected = 0
        self.received.clear()
        self.started = time.perf_counter()
        self.transport.write(next(self.load.requests))

    def data_received(self, data: bytes) -> None:
        self.received += data
        if not self.expected:
            end = self.received.find(_END)
            if end < 0:
                return
            head = bytes(self.received[:end]).lower() + b"\r\n"
            start = head.index(_LENGTH) + len(_LENGTH)
            self.expected = end + len(_END) + int(head[start : head.index(b"\r", start)])
            self.status = int(head[9:12])
            self.load.statuses[self.status] += 1
            self.load.told_when += self.status == 503 and b"\nretry-after: " in head
            if self.load.field:
                self.load.values[b" and ".join(self.load.field.findall(head)).decode("latin-1")] += 1
        if len(self.received) >= self.expected:
            seconds = time.perf_counter() - self.started
            self.load.latencies.append(seconds)
            if self.status == 200:
                self.load.served.append(seconds)
            if self.load.going_on():
                self._send()
            else:
                self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.expected == 0 or len(self.received) < self.expected:
            self.load.statuses[0] += 1  # no whole answer
        self.load.left -= 1
        if self.load.left == 0:
            self.load.done.set()


class Load:
    """What all connections share."""

    def __init__(self, requests: list[bytes], connections: int, seconds: float, most: int, field: str = "") -> None:
        self.requests = cycle(requests)
        self.left = connections
        self.until = time.perf_counter() + seconds
        self.most = most
        self.latencies: list[float] = []
        self.served: list[float] = []
        self.told_when = 0
        self.field = re.compile(rb"\r\n%b: ([^\r]*)" % field.lower().encode()) if field else None
        self.values: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.done = asyncio.Event()

    def going_on(self) -> bool:
        return time.perf_counter() < self.until and len(self.latencies) < self.most

    def summary(self, seconds: float) -> dict[str, object]:
        ordered, served = sorted(self.latencies), sorted(self.served)
        return {
            "statuses": dict(self.statuses),
            "refusals_with_retry_after": self.told_when,
            "values": dict(self.values),
            "per_second": round(len(ordered) / seconds, 1),
            "p50": _quantile(ordered, 0.5),
            "p99": _quantile(ordered, 0.99),
            "p99_of_200": _quantile(served, 0.99),
            "worst": _quantile(ordered, 1.0),
        }


def _quantile(ordered: list[float], share: float) -> float:
    """In microseconds; 0 of none."""
    return round(1e6 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1) if ordered else 0.0


async def run(
    port: int, requests: list[bytes], connections: int, seconds: float, most: int, field: str = ""
) -> dict[str, object]:
    """Put the load on 127.0.0.1:``port``; answers are also counted by what a field of their heads says."""
    loop = asyncio.get_running_loop()
    load = Load(requests, connections, seconds, most, field)
    started = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(load), "127.0.0.1", port)
    await load.done.wait()
    return load.summary(time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("requests", nargs="+", type=Path, help="files of one whole HTTP/1.1 request each")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--most", type=int, default=10_000_000, help="requests at most")
    parser.add_argument("--field", default="", help="count answers by the value of this field, too")
    options = parser.parse_args()
    requests = [path.read_bytes() for path in options.requests]
    work = run(options.port, requests, options.connections, options.seconds, options.most, options.field)
    print(json.dumps(uvloop.run(work)))


if __name__ == "__main__":
    main()
