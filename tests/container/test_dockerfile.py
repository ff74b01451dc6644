"""Laws of the Dockerfile, of what the build is sent, and of the locks: read, without an engine."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.container.dockerfile import Stage, admitted, ancestry, read_stages

ROOT = Path(__file__).resolve().parents[2]
STAGES = read_stages((ROOT / "Dockerfile").read_text())
TARGETS = ("pipeline", "serving")
PINNED = re.compile(r"^([a-zA-Z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)

LOCKS = ("pipeline", "serving", "serving-cuda", "build")

targets = pytest.mark.parametrize("target", TARGETS)


def pins(name: str) -> dict[str, str]:
    return dict(PINNED.findall((ROOT / name).read_text()))


def own(target: str) -> list[Stage]:
    """The target and what it starts from: whose files are in the image."""
    return ancestry(STAGES, target)


@targets
def test_an_image_starts_from_the_base_that_is_asked_for(target: str) -> None:
    assert own(target)[-1].parent == "${BASE_IMAGE}"


@targets
def test_an_image_runs_as_a_number_that_is_not_root(target: str) -> None:
    # Kubernetes can tell that a number is not root; of a name it cannot.
    user = STAGES[target].of("USER")
    assert len(user) == 1 and int(user[0]) > 0
    created = " ".join(rest for stage in own(target) for rest in stage.of("RUN"))
    assert f"useradd --uid {user[0]} " in created


@targets
def test_nothing_is_written_into_an_image_after_its_user_is_set(target: str) -> None:
    keywords = [keyword for keyword, _ in STAGES[target].instructions]
    after = keywords[keywords.index("USER") :]
    assert not {"RUN", "COPY", "ADD"} & set(after)


@targets
def test_only_tmp_has_to_be_writable(target: str) -> None:
    environment = " ".join(rest for stage in own(target) for rest in stage.of("ENV")).split()
    assert {"HOME=/tmp", "PYTHONSAFEPATH=1"} <= set(environment)
    assert STAGES[target].of("WORKDIR") == ["/tmp"]


@targets
def test_of_other_stages_an_image_takes_only_our_own_code(target: str) -> None:
    copied = [(stage, source) for place in own(target) for stage, sources, _ in place.copied() for source in sources]
    scripts = {"pipeline": "ganvas", "serving": "ganvas-serve"}
    assert {source for stage, source in copied if stage} == {"/opt/ganvas/lib", f"/opt/ganvas/bin/{scripts[target]}"}
    locks = {"pipeline": ("build", "pipeline"), "serving": ("serving",)}[target]
    assert {source for stage, source in copied if not stage} == {
        "requirements-bootstrap.lock",
        *(f"deploy/locks/{lock}.lock" for lock in locks),
    }


@pytest.mark.parametrize("name", STAGES)
def test_every_installation_asks_for_hashes_or_is_our_own_wheel(name: str) -> None:
    runs = " && ".join(STAGES[name].of("RUN"))
    for command in (part.strip() for part in runs.split("&&")):
        if "pip install" in command:
            assert "--require-hashes -r " in command or command.endswith("--no-deps --compile-bytecode /wheels/*.whl")
            assert "--no-cache" in command


@targets
def test_what_is_installed_was_built_elsewhere_or_by_a_backend_whose_hash_is_checked(target: str) -> None:
    runs = " && ".join(STAGES[target].of("RUN"))
    (command,) = [part for part in runs.split("&&") if "uv pip install" in part]
    assert "--only-binary :all:" in command
    built = re.findall(r"--no-binary (\S+)", command)
    assert built == (["kfp-server-api"] if target == "pipeline" else [])
    assert ("--build-constraints /opt/ganvas/locks/build.lock" in command) == bool(built)
    assert "setuptools" in pins("deploy/locks/build.lock"), "what a package without a pyproject.toml is built by"
    assert "--build-constraints deploy/locks/build.lock --require-hashes" in (ROOT / "Makefile").read_text()


def test_the_server_comes_with_cuda_where_that_lock_is_named() -> None:
    plain, cuda = pins("deploy/locks/serving.lock"), pins("deploy/locks/serving-cuda.lock")
    assert STAGES["serving"].of("ARG")[0] == "SERVING_LOCK=serving"
    assert plain.items() <= cuda.items()
    # Those that onnxruntime's CUDA provider and cuDNN load; without torch nobody else brings them.
    added = cuda.keys() - plain.keys()
    needed = {"nvidia-cublas", "nvidia-cuda-nvrtc", "nvidia-cuda-runtime", "nvidia-cudnn-cu13", "nvidia-cufft"}
    assert needed | {"nvidia-curand"} <= added
    assert all(name.startswith("nvidia-") for name in added)
    assert not any(name.startswith("nvidia-") for name in plain)


@targets
def test_the_installer_is_gone_before_its_layer_ends(target: str) -> None:
    installing = [run for run in STAGES[target].of("RUN") if "venv" in run]
    assert len(installing) == 1
    assert installing[0].startswith("python3 -m venv /tmp/tools ")
    assert installing[0].endswith("&& rm -rf /tmp/tools /opt/ganvas/.lock")


@targets
def test_an_edit_of_the_code_leaves_the_packages_alone(target: str) -> None:
    instructions = STAGES[target].instructions
    (packages,) = (index for index, (keyword, rest) in enumerate(instructions) if "pip install" in rest)
    code = [index for index, (keyword, rest) in enumerate(instructions) if keyword == "COPY" and "--from=code" in rest]
    revision = instructions.index(("ARG", 'CODE_REVISION=""'))
    assert packages < min(code) and max(code) < revision


@targets
def test_a_commit_changes_the_label_and_nothing_that_takes_time(target: str) -> None:
    """buildah knows a RUN by the arguments before it, and a LABEL or ENV only by its text."""
    instructions = STAGES[target].instructions
    after = instructions[instructions.index(("ARG", 'CODE_REVISION=""')) + 1 :]
    assert after[0] == ("RUN", ': "$CODE_REVISION"')
    assert not {"RUN", "COPY", "ADD"} & {keyword for keyword, _ in after[1:]}
    assert [rest for keyword, rest in after if "CODE_REVISION" in rest]


@targets
def test_the_labels_say_what_the_project_says(target: str) -> None:
    labels = " ".join(STAGES[target].of("LABEL"))
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f'org.opencontainers.image.version="{version}"' in labels
    assert f'org.opencontainers.image.title="ganvas-{target}"' in labels
    assert "org.opencontainers.image.revision=$CODE_REVISION" in labels
    # No licence is claimed that the repository does not hold.
    assert ("image.licenses" in labels) == (ROOT / "LICENSE").is_file()


def test_the_server_has_a_health_check_that_follows_its_port() -> None:
    (check,) = STAGES["serving"].of("HEALTHCHECK")
    assert "/v2/health/live" in check and "GANVAS_SERVE_PORT" in check
    assert "GANVAS_SERVE_PORT=8000" in " ".join(STAGES["serving"].of("ENV"))


def test_the_build_is_sent_exactly_what_is_copied() -> None:
    copied = {
        source for stage in STAGES.values() for origin, sources, _ in stage.copied() if not origin for source in sources
    }
    let_through = admitted((ROOT / ".dockerignore").read_text())
    covered = {
        name: {source for source in copied if source == name or source.startswith(f"{name}/")} for name in let_through
    }
    assert set().union(*covered.values()) == copied
    assert all(covered.values()), "something is let through that nothing copies"
    assert not [name for name in let_through if not (ROOT / name).exists()]


def test_the_build_is_sent_every_room_of_the_wheel() -> None:
    rooms = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
        "packages"
    ]
    copied = [source for _, sources, _ in STAGES["code"].copied() for source in sources]
    assert set(rooms) <= set(copied)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_of_an_image_agrees_with_the_one_that_is_tested(name: str) -> None:
    tested, locked = pins("requirements.lock"), pins(f"deploy/locks/{name}.lock")
    assert locked
    assert {package: version for package, version in locked.items() if tested.get(package) != version} == {}


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_of_an_image_has_a_hash(name: str) -> None:
    text = (ROOT / f"deploy/locks/{name}.lock").read_text().replace("\\\n", " ")
    assert [line for line in text.splitlines() if "==" in line and "--hash=sha256:" not in line] == []


def test_the_serving_image_holds_nothing_that_trains() -> None:
    for lock in ("serving", "serving-cuda"):
        assert not {"torch", "kfp", "mlflow", "boto3", "onnx"} & set(pins(f"deploy/locks/{lock}.lock"))


def test_a_dockerignore_that_admits_by_default_is_refused() -> None:
    with pytest.raises(ValueError, match="begin with"):
        admitted("**/__pycache__\n!models\n")
