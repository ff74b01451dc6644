"""buildah and podman with a storage of their own, so that nothing of the machine's is touched or left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STORAGE = """\
[storage]
driver = "{driver}"
graphroot = "{place}/storage"
runroot = "{place}/run"
"""
# runc, because crun refuses machines with both versions of cgroups. Limits that a machine's own do not allow are an
# error when a container starts. Locks in shared memory would be those of every podman here.
CONTAINERS = """\
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:8192"]
env = [{variables}]

[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = "{place}/libpod"
"""
HANDED_ON = ("OMP_NUM_THREADS",)
"""Variables of this process that every container gets: on a busy machine, threads that wait for each other are slow."""
DRIVERS = ("overlay", "vfs")
"""Of the storage; overlay does not work on every disk, vfs copies every layer."""
SERVICE_SECONDS = 30


class EngineError(Exception):
    """A program failed; the message is the end of what it said."""


@dataclass(frozen=True)
class Engine:
    """The programs and where they keep everything.

    Attributes:
        place: a directory; its path is short, as paths of sockets have to be.
        driver: of the storage: overlay, or vfs where the kernel has no overlay on this disk.
    """

    place: Path
    driver: str

    @property
    def environment(self) -> dict[str, str]:
        """By which the programs find their configuration."""
        return os.environ | {
            "CONTAINERS_STORAGE_CONF": str(self.place / "storage.conf"),
            "CONTAINERS_CONF": str(self.place / "containers.conf"),
            "BUILDAH_RUNTIME": "runc",
            "TMPDIR": str(self.place / "tmp"),
        }

    def buildah(self, *arguments: str, log: Path | None = None) -> str:
        """What buildah printed, without the last line's end."""
        return self._run(["buildah", *arguments], log)

    def podman(self, *arguments: str, log: Path | None = None) -> str:
        """What podman printed, without the last line's end."""
        return self._run(["podman", *arguments], log)

    def _run(self, command: Sequence[str], log: Path | None) -> str:
        ended = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        if log is not None:
            log.write_text(ended.stdout + ended.stderr)
        if ended.returncode:
            said = "\n".join((ended.stdout + ended.stderr).strip().splitlines()[-15:])
            raise EngineError(f"{' '.join(command[:6])} ... ended with {ended.returncode}:\n{said}")
        return ended.stdout.rstrip("\n")

    @contextmanager
    def service(self) -> Iterator[str]:
        """``podman system service`` for the length of a block; its address, as ``DOCKER_HOST`` wants it."""
        socket = self.place / "podman.sock"
        socket.unlink(missing_ok=True)
        address = f"unix://{socket}"
        with (
            (self.place / "service.log").open("w") as log,
            subprocess.Popen(
                ["podman", "system", "service", "--time=0", address], env=self.environment, stdout=log, stderr=log
            ) as running,
        ):
            try:
                deadline = time.monotonic() + SERVICE_SECONDS
                while not socket.exists():
                    if running.poll() is not None or time.monotonic() > deadline:
                        raise EngineError((self.place / "service.log").read_text())
                    time.sleep(0.1)
                socket.chmod(0o666)  # for a container's user; the directory lets nobody else so far
                yield address
            finally:
                running.terminate()


def make_engine(place: Path) -> Engine:
    """Write the configuration, with the storage driver that is used there already, or the first that works there.

    Raises:
        EngineError: if none works.
    """
    (place / "tmp").mkdir(exist_ok=True)
    variables = ", ".join(f'"{name}={os.environ[name]}"' for name in HANDED_ON if name in os.environ)
    (place / "containers.conf").write_text(CONTAINERS.format(place=place, variables=variables))
    used = [driver for driver in DRIVERS if (place / "storage" / driver).is_dir()]
    reasons = []
    for driver in used or DRIVERS:
        (place / "storage.conf").write_text(STORAGE.format(place=place, driver=driver))
        engine = Engine(place, driver)
        try:
            engine.buildah("images")
        except EngineError as error:
            reasons.append(str(error))
        else:
            return engine
    raise EngineError("\n".join(reasons))


def end_containers(engine: Engine) -> None:
    """Stop and remove what still runs, and take off every mount, whatever state an error left them in."""
    for end in (lambda: engine.podman("rm", "--all", "--force", "--time", "5"), lambda: engine.buildah("rm", "--all")):
        try:
            end()
        except EngineError as error:
            print(f"  while cleaning up: {error}", flush=True)
    mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for path in reversed(mounted):
        if Path(path).is_relative_to(engine.place):
            subprocess.run(["umount", "--lazy", path], check=False)


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does, so that what it started is ended too."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
