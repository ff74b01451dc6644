"""A base image that needs no registry: a minimal Debian of this host's release, with python3 and its venv."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

from tests.container.engine import Engine, EngineError

NAME = "localhost/ganvas-base:container-test"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
PACKAGES = "ca-certificates,python3,python3-venv"
NEEDLESS = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale")


class NoBaseImage(EngineError):
    """It is the machine, or its way to Debian, not what is tested."""


def make_base_image(engine: Engine) -> str:
    """Its name, once it is there and its python3 is new enough.

    Where the network's certificates are signed by a local authority, the host's bundle has that authority; with it in
    the base image, pip and uv work and the Dockerfile stays clean.

    Raises:
        NoBaseImage: if Debian cannot be had.
        EngineError: if its python3 is older than 3.11.
    """
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    root = engine.place / "debian"
    command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite, str(root)]
    log = engine.place / "debootstrap.log"
    with log.open("w") as output:
        if subprocess.run(command, stdout=output, stderr=output, check=False).returncode:
            end = "\n".join(log.read_text().splitlines()[-5:])
            raise NoBaseImage(f"debootstrap could not make a Debian {suite}:\n{end}")
    for name in NEEDLESS:
        shutil.rmtree(root / name, ignore_errors=True)
    if Path(CERTIFICATES).is_file():
        shutil.copyfile(CERTIFICATES, root / CERTIFICATES.lstrip("/"))
    container = engine.buildah("from", "--name", "ganvas-base", "scratch")
    engine.buildah("copy", "--quiet", container, str(root), "/")
    variables = {"SSL_CERT_FILE": CERTIFICATES, "PIP_CERT": CERTIFICATES, "LANG": "C.UTF-8"}
    environment = [part for name, value in variables.items() for part in ("--env", f"{name}={value}")]
    engine.buildah("config", *environment, "--cmd", "python3", container)
    modern = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
    engine.buildah("run", "--network", "host", container, "--", "python3", "-c", modern)
    engine.buildah("commit", "--quiet", "--rm", container, NAME)
    shutil.rmtree(root)
    return NAME


def index_files(engine: Engine) -> list[str]:
    """Options of a build that give it this host's package index, where the host names one.

    The files are mounted for the length of the build: an address, and a password that it may hold, is in no image.
    """
    index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL") or os.environ.get("PIP_INDEX_URL")
    if not index:
        return []
    pip, uv = engine.place / "pip.conf", engine.place / "uv.toml"
    pip.write_text(f"[global]\nindex-url = {index}\n")
    uv.write_text(f'index-url = "{index}"\n')
    return ["--volume", f"{pip}:/etc/pip.conf:ro", "--volume", f"{uv}:/etc/uv/uv.toml:ro"]
