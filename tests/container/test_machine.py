"""What the container test says of a machine that cannot run it, and what it takes from one that can."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.docker import step_user
from tests.container.base_image import index_files
from tests.container.engine import Engine
from tests.container.hardened import faults
from tests.container.requirements import PACKAGES, free_bytes, missing_programs, missing_rights, missing_space

ROOT = Path(__file__).resolve().parents[2]


def test_missing_programs_are_named_with_the_line_that_installs_them() -> None:
    assert missing_programs(lambda name: f"/usr/bin/{name}") == ""
    line = missing_programs(lambda name: None if name in ("buildah", "runc") else f"/usr/bin/{name}")
    assert line.startswith("The container test needs buildah, runc: apt-get install ")
    assert set(PACKAGES) <= set(line.split()) and "\n" not in line


def test_the_command_says_so_at_once_and_ends_with_two() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.container"],
        env=os.environ | {"PATH": "/nowhere", "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("The container test needs podman, buildah, runc, debootstrap: ")
    assert ended.stderr.count("\n") == 1


def test_rights_and_space_are_asked_for_in_one_line(tmp_path: Path) -> None:
    everything, of_a_container = 0x1FFFFFFFFFF, 0xA80425FB
    assert missing_rights(0, everything) == ""
    assert "root" in missing_rights(1000, everything) and "mount" in missing_rights(0, of_a_container)
    assert missing_space(tmp_path, "overlay", 1 << 40) == ""
    assert "has 3 GiB free" in missing_space(tmp_path, "vfs", 3 << 30)
    assert 0 < free_bytes(tmp_path) < 1 << 60


@pytest.mark.parametrize("variable", ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"])
def test_a_hosts_index_is_mounted_and_in_no_argument(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    engine = Engine(tmp_path, "overlay")
    assert index_files(engine) == []
    monkeypatch.setenv(variable, "https://user:secret@index.example/simple")
    options = index_files(engine)
    assert options == [
        "--volume", f"{tmp_path}/pip.conf:/etc/pip.conf:ro", "--volume", f"{tmp_path}/uv.toml:/etc/uv/uv.toml:ro"
    ]  # fmt: skip
    for name in ("pip.conf", "uv.toml"):
        assert "https://user:secret@index.example/simple" in (tmp_path / name).read_text()


def test_a_steps_user_is_the_one_whose_files_are_the_callers() -> None:
    assert step_user(1000, 100, ["name=seccomp,profile=default"]) == "1000:100"
    assert step_user(1000, 100, ["name=seccomp,profile=default", "name=rootless"]) == "0:0"


def test_what_an_image_must_not_be_is_named() -> None:
    sound = {
        "user": 10001, "group": 10001, "home": "/tmp", "prefix": "/opt/ganvas", "safe_path": True, "capabilities": 0,
        "no_new_privileges": True, "tools": [], "heavy": [], "writable_by_all": [], "writable_by_me": ["/tmp"],
    }  # fmt: skip
    assert faults(sound, heavy=[]) == []
    assert faults(sound | {"user": 0}, heavy=[]) == ["user is 0, not 10001"]
    assert faults(sound | {"writable_by_all": ["/opt/ganvas/bin"]}, heavy=[]) == [
        "writable_by_all is ['/opt/ganvas/bin'], not []"
    ]
    assert faults(sound, heavy=["torch"]) == ["heavy is [], not ['torch']"]
